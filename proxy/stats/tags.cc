#include "proxy/stats/tags.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <array>
#include <optional>
#include <regex>
#include <utility>

namespace remora::stats {

namespace {

struct Span {
  size_t begin, end;
};

/// A tag found in a name: its value, and what to cut out of the name.
struct Found {
  std::string_view value;
  Span cut;
};

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_word(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_';
  });
}

/// The piece of `name` at `at` up to the next dot; nullopt when there is no dot behind it or it is
/// empty.
std::optional<Found> piece_at(std::string_view name, size_t at) {
  size_t dot = name.find('.', at);
  if (dot == std::string_view::npos || dot == at) return std::nullopt;
  return Found{name.substr(at, dot - at), {at, dot + 1}};
}

/// Patterns over the pieces between dots: "cluster.*.grpc.$.**". "*" is any one piece, "$" the
/// tag's value, the final "**" one or more pieces.
std::optional<Found> match_pieces(std::string_view pattern, std::string_view name) {
  std::optional<Found> found;
  size_t at = 0;
  while (pattern != "**") {
    std::string_view want = pattern.substr(0, pattern.find('.'));
    pattern.remove_prefix(want.size() + 1);
    size_t dot = name.find('.', at);
    if (dot == std::string_view::npos) return std::nullopt;
    std::string_view piece = name.substr(at, dot - at);
    if (want == "$") {
      found = Found{piece, {at, dot + 1}};
    } else if (want != "*" && want != piece) {
      return std::nullopt;
    }
    at = dot + 1;
  }
  return found;
}

/// "..._rq_200": the code, without "_rq" cut.
std::optional<Found> response_code(std::string_view name) {
  size_t n = name.size();
  if (n < 7 || name.substr(n - 7, 4) != "_rq_") return std::nullopt;
  std::string_view code = name.substr(n - 3);
  if (!std::all_of(code.begin(), code.end(), is_digit)) return std::nullopt;
  return Found{code, {n - 4, n}};
}

/// "..._rq_2xx": the 2.
std::optional<Found> response_code_class(std::string_view name) {
  size_t n = name.size();
  if (n < 7 || !name.ends_with("xx") || name.substr(n - 7, 4) != "_rq_" || !is_digit(name[n - 3])) {
    return std::nullopt;
  }
  return Found{name.substr(n - 3, 1), {n - 3, n - 2}};
}

/// Where the listener's name ends in "listener.NAME.": an address with its dots ("10.0.0.1_80",
/// "[2001_db8__1]_80"), or one piece. 0: no listener's metric.
size_t listener_name_end(std::string_view name) {
  constexpr std::string_view kStart = "listener.";
  if (!name.starts_with(kStart)) return 0;
  size_t at = kStart.size();
  size_t address_end = name.find_first_not_of(
      name.substr(at).starts_with('[') ? "[]0123456789abcdefABCDEF_" : "0123456789._", at);
  if (address_end != std::string_view::npos && address_end > at && name[address_end - 1] == '.' &&
      is_digit(name[at])) {
    return address_end - 1;
  }
  if (address_end != std::string_view::npos && name[at] == '[' && name[address_end] == '.') {
    return address_end;
  }
  size_t dot = name.find('.', at);
  return dot == std::string_view::npos ? 0 : dot;
}

std::optional<Found> listener_address(std::string_view name) {
  constexpr size_t kStart = std::string_view("listener.").size();
  size_t end = listener_name_end(name);
  if (end <= kStart) return std::nullopt;
  std::string_view value = name.substr(kStart, end - kStart);
  if (value == "admin") return std::nullopt;
  return Found{value, {kStart, end + 1}};
}

std::optional<Found> listener_http_prefix(std::string_view name) {
  constexpr std::string_view kHttp = ".http.";
  if (!name.starts_with("listener.")) return std::nullopt;
  size_t at = name.find(kHttp);
  if (at == std::string_view::npos) return std::nullopt;
  return piece_at(name, at + kHttp.size());
}

std::optional<Found> worker_id(std::string_view name) {
  constexpr std::string_view kWorker = "worker_";
  size_t at = std::string_view::npos;
  for (std::string_view owner : {"server.", "listener_manager.", "thread_local_cluster_manager."}) {
    if (name.starts_with(owner)) at = owner.size();
  }
  if (size_t end = listener_name_end(name); end != 0) at = end + 1;
  if (at == std::string_view::npos || !name.substr(at).starts_with(kWorker)) return std::nullopt;
  auto found = piece_at(name, at + kWorker.size());
  if (!found || !std::all_of(found->value.begin(), found->value.end(), is_digit))
    return std::nullopt;
  return found;
}

/// "http.PREFIX.rds.ROUTE.stat": the route's name may have dots.
std::optional<Found> rds_route_config(std::string_view name) {
  constexpr std::string_view kRds = ".rds.";
  if (!name.starts_with("http.")) return std::nullopt;
  size_t at = name.find('.', 5);
  size_t last = name.rfind('.');
  if (at == std::string_view::npos || !name.substr(at).starts_with(kRds)) return std::nullopt;
  at += kRds.size();
  if (last <= at || !is_word(name.substr(last + 1))) return std::nullopt;
  std::string_view route = name.substr(at, last - at);
  bool plain = std::all_of(route.begin(), route.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-' || c == '.';
  });
  if (!plain) return std::nullopt;
  return Found{route, {at, last + 1}};
}

bool has_tls(std::string_view name) {
  return name.starts_with("listener.") || name.starts_with("cluster.");
}

/// "OWNER.ssl.KIND.VALUE".
std::optional<Found> ssl_detail(std::string_view name, std::string_view kind) {
  size_t at = name.find(kind);
  if (at == std::string_view::npos || !has_tls(name)) return std::nullopt;
  at += kind.size();
  std::string_view value = name.substr(at);
  if (value.empty() || (kind != ".ssl.versions." && value.find('.') != std::string_view::npos)) {
    return std::nullopt;
  }
  return Found{value, {at - 1, name.size()}};
}
std::optional<Found> ssl_cipher(std::string_view name) {
  return name.starts_with("listener.") ? ssl_detail(name, ".ssl.ciphers.") : std::nullopt;
}
std::optional<Found> cipher_suite(std::string_view name) {
  return name.starts_with("cluster.") ? ssl_detail(name, ".ssl.ciphers.") : std::nullopt;
}
std::optional<Found> ssl_curve(std::string_view name) { return ssl_detail(name, ".ssl.curves."); }
std::optional<Found> ssl_sigalg(std::string_view name) { return ssl_detail(name, ".ssl.sigalgs."); }
std::optional<Found> ssl_version(std::string_view name) {
  return ssl_detail(name, ".ssl.versions.");
}

/// "OWNER.ssl.certificate.NAME.stat".
std::optional<Found> tls_certificate(std::string_view name) {
  constexpr std::string_view kCertificate = ".ssl.certificate.";
  size_t at = name.find(kCertificate);
  if (at == std::string_view::npos || !has_tls(name)) return std::nullopt;
  return piece_at(name, at + kCertificate.size());
}

/// "http.PREFIX.rbac.NAME.stat", "http.PREFIX.rbac.policy.POLICY.stat",
/// "http.PREFIX.rbac.NAME.policy.POLICY.stat".
std::optional<Found> rbac_http_prefix(std::string_view name) {
  auto found = match_pieces("http.*.rbac.$.**", name);
  return found && found->value == "policy" ? std::nullopt : found;
}
std::optional<Found> rbac_policy(std::string_view name) {
  auto found = match_pieces("http.*.rbac.policy.$.**", name);
  return found ? found : match_pieces("http.*.rbac.*.policy.$.**", name);
}

/// "proxy_proto.PREFIX.stat", "proxy_proto.PREFIX.versions.v1.stat".
std::optional<Found> proxy_protocol_prefix(std::string_view name) {
  auto found = match_pieces("proxy_proto.$.**", name);
  return found && found->value == "versions" ? std::nullopt : found;
}
std::optional<Found> proxy_protocol_version(std::string_view name) {
  auto found = match_pieces("proxy_proto.versions.$.**", name);
  if (!found) found = match_pieces("proxy_proto.*.versions.$.**", name);
  if (!found || !found->value.starts_with('v')) return std::nullopt;
  found->value.remove_prefix(1);
  found->cut.begin -= std::string_view("versions.").size();
  return found;
}

/// Envoy's default rules, roughly from the most specific: a pattern over pieces, or a function.
struct DefaultRule {
  std::string_view tag;
  std::string_view pieces;
  std::optional<Found> (*find)(std::string_view name) = nullptr;
};

constexpr DefaultRule kDefaultRules[] = {
    {"envoy.response_code", "", response_code},
    {"envoy.response_code_class", "", response_code_class},
    {"envoy.ssl_cipher", "", ssl_cipher},
    {"cipher_suite", "", cipher_suite},
    {"envoy.ssl_curve", "", ssl_curve},
    {"envoy.ssl_sigalg", "", ssl_sigalg},
    {"envoy.ssl_version", "", ssl_version},
    {"envoy.tls_certificate", "", tls_certificate},
    {"envoy.grpc_bridge_method", "cluster.*.grpc.*.$.**"},
    {"envoy.grpc_bridge_service", "cluster.*.grpc.$.**"},
    {"envoy.http_user_agent", "http.*.user_agent.$.**"},
    {"envoy.virtual_cluster", "vhost.*.vcluster.$.**"},
    {"envoy.fault_downstream_cluster", "http.*.fault.$.**"},
    {"envoy.rbac_policy_name", "", rbac_policy},
    {"envoy.rbac_http_prefix", "", rbac_http_prefix},
    {"envoy.rbac_prefix", "$.rbac.**"},
    {"envoy.tcp_prefix", "tcp.$.**"},
    {"envoy.clientssl_prefix", "auth.clientssl.$.**"},
    {"envoy.ratelimit_prefix", "ratelimit.$.**"},
    {"envoy.cluster_name", "cluster.$.**"},
    {"envoy.ext_authz_prefix", "cluster.*.ext_authz.$.**"},
    {"envoy.ext_authz_prefix", "http.*.ext_authz.$.**"},
    {"envoy.rds_route_config", "", rds_route_config},
    {"envoy.http_conn_manager_prefix", "", listener_http_prefix},
    {"envoy.http_conn_manager_prefix", "http.$.**"},
    {"envoy.worker_id", "", worker_id},
    {"envoy.listener_address", "", listener_address},
    {"envoy.virtual_host", "vhost.$.**"},
    {"envoy.route", "vhost.*.route.$.**"},
    {"envoy.local_http_ratelimit_prefix", "$.http_local_rate_limit.**"},
    {"envoy.local_network_ratelimit_prefix", "local_rate_limit.$.**"},
    {"envoy.local_listener_ratelimit_prefix", "listener_local_ratelimit.$.**"},
    {"envoy.connection_limit_prefix", "connection_limit.$.**"},
    {"envoy.xds_resource_name", "sds.$.**"},
    {"envoy.proxy_protocol_version", "", proxy_protocol_version},
    {"envoy.proxy_protocol_prefix", "", proxy_protocol_prefix},
};

std::optional<Found> apply_default(const DefaultRule& rule, std::string_view name) {
  return rule.find != nullptr ? rule.find(name) : match_pieces(rule.pieces, name);
}

/// `name` without the cuts, which may overlap.
std::string cut_out(std::string_view name, std::vector<Span> cuts) {
  std::sort(cuts.begin(), cuts.end(), [](Span a, Span b) { return a.begin < b.begin; });
  std::string out;
  size_t at = 0;
  for (Span cut : cuts) {
    if (cut.begin > at) out += name.substr(at, cut.begin - at);
    at = std::max(at, cut.end);
  }
  if (at < name.size()) out += name.substr(at);
  return out;
}

/// The characters a regular expression's matches must begin with ("^cluster\\." gives "cluster"),
/// to save running it.
std::string literal_start(std::string_view regex) {
  if (!regex.starts_with('^')) return "";
  regex.remove_prefix(1);
  size_t end = 0;
  while (end < regex.size() && is_word(regex.substr(end, 1))) ++end;
  // A following quantifier would make the last character optional, an alternative all of them.
  if (regex.find('|') != std::string_view::npos) return "";
  if (end < regex.size() && std::string_view("*+?{").find(regex[end]) != std::string_view::npos &&
      end > 0) {
    --end;
  }
  return std::string(regex.substr(0, end));
}

}  // namespace

TaggedName default_tags(std::string_view name) {
  TaggedName out;
  std::vector<Span> cuts;
  for (const DefaultRule& rule : kDefaultRules) {
    auto found = apply_default(rule, name);
    if (!found) continue;
    out.tags.push_back({std::string(rule.tag), std::string(found->value)});
    cuts.push_back(found->cut);
  }
  out.base = cut_out(name, std::move(cuts));
  return out;
}

struct TagRules::Rule {
  std::string tag;
  const DefaultRule* built_in = nullptr;  // or:
  std::string start;                      // what every matching name begins with
  std::regex regex;

  std::optional<Found> find(std::string_view name) const {
    if (built_in != nullptr) return apply_default(*built_in, name);
    if (!name.starts_with(start)) return std::nullopt;
    std::cmatch match;
    if (!std::regex_search(name.data(), name.data() + name.size(), match, regex))
      return std::nullopt;
    // The first group is what is cut, the second, if there is one, the value.
    const auto& value = match.size() > 2 ? match[2] : match[1];
    size_t begin = static_cast<size_t>(match.position(1));
    return Found{std::string_view(value.first, value.second), {begin, begin + match.length(1)}};
  }
};

TagRules::TagRules() = default;
TagRules::~TagRules() = default;
TagRules::TagRules(TagRules&&) noexcept = default;
TagRules& TagRules::operator=(TagRules&&) noexcept = default;

absl::StatusOr<TagRules> TagRules::make(const StatsConfig& config) {
  TagRules out;
  out.defaults_ = config.use_all_default_tags;
  for (const auto& rule : config.tags) {
    switch (rule.kind) {
      case StatsConfig::TagRule::Kind::Fixed:
        out.fixed_.push_back({rule.name, rule.value});
        break;
      case StatsConfig::TagRule::Kind::Default: {
        bool known = false;
        for (const DefaultRule& built_in : kDefaultRules) {
          if (built_in.tag != rule.name) continue;
          known = true;
          if (!out.defaults_) out.rules_.push_back({rule.name, &built_in, "", {}});
        }
        if (!known) {
          return absl::InvalidArgumentError(
              absl::StrCat("no regex specified for tag specifier and no default regex for name: '",
                           rule.name, "'"));
        }
        break;
      }
      case StatsConfig::TagRule::Kind::Regex:
        // The grammar is ECMAScript's, as in Envoy: agents send look-aheads here.
        try {
          std::regex regex(rule.value, std::regex::ECMAScript | std::regex::optimize);
          if (regex.mark_count() == 0) {
            return absl::InvalidArgumentError(
                absl::StrCat("tag '", rule.name, "': the regular expression has no group"));
          }
          out.rules_.push_back({rule.name, nullptr, literal_start(rule.value), std::move(regex)});
        } catch (const std::regex_error& error) {
          return absl::InvalidArgumentError(
              absl::StrCat("tag '", rule.name, "': invalid regular expression: ", error.what()));
        }
        break;
    }
  }
  return out;
}

TaggedName TagRules::apply(std::string_view name) const {
  TaggedName out;
  std::vector<Span> cuts;
  auto take = [&](std::string_view tag, const std::optional<Found>& found) {
    if (!found) return;
    out.tags.push_back({std::string(tag), std::string(found->value)});
    cuts.push_back(found->cut);
  };
  if (defaults_) {
    for (const DefaultRule& rule : kDefaultRules) take(rule.tag, apply_default(rule, name));
  }
  for (const Rule& rule : rules_) take(rule.tag, rule.find(name));
  out.base = cut_out(name, std::move(cuts));
  out.tags.insert(out.tags.end(), fixed_.begin(), fixed_.end());
  return out;
}

}  // namespace remora::stats
