#include "xds/translate/route.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>

#include "proxy/policy/route_tree.h"
#include "proxy/stats/names.h"
#include "proxy/stats/schemas.h"
#include "proxy/stats/store.h"
#include "xds/translate/filter_configs.h"
#include "xds/translate/header_edits.h"
#include "xds/translate/match.h"
#include "xds/translate/match_tree.h"
#include "xds/translate/retry_policy.h"
#include "xds/translate/route_action.h"
#include "xds/translate/route_extras.h"
#include "xds/translate/route_rewrite.h"
#include "xds/translate/typed_config.h"
#include "xds/translate/values.h"

namespace remora::xds::translate {
namespace {

namespace proto = envoy::config::route::v3;

constexpr size_t kDefaultDirectBodyBytes = 4096;

bool validates(const proto::RouteConfiguration& table, ValidateClusters by_default) {
  if (table.has_validate_clusters()) return table.validate_clusters().value();
  return by_default == ValidateClusters::Yes;
}

class Compiler {
 public:
  Compiler(const proto::RouteConfiguration& table, ValidateClusters validate, Context& context)
      : table_(table),
        context_(context),
        check_clusters_(validates(table, validate)),
        ignore_path_parameters_(table.ignore_path_parameters_in_path_matching()),
        max_direct_body_bytes_(table.has_max_direct_response_body_size_bytes()
                                   ? table.max_direct_response_body_size_bytes().value()
                                   : kDefaultDirectBodyBytes) {}

  absl::StatusOr<router::VirtualHost> virtual_host(const proto::VirtualHost& host,
                                                   const Path& path) {
    if (host.name().empty()) return path.field("name").error("is required");
    if (host.domains_size() == 0) return path.field("domains").error("must not be empty");
    router::VirtualHost out;
    host_ = &host;
    out.name = host.name();
    REMORA_TRY(read_domains(host, &out, path));
    REMORA_TRY(set_header_edits(host, path, &out.request_edits, &out.response_edits));
    REMORA_TRY_ASSIGN(out.filter_configs,
                      filter_configs(host.typed_per_filter_config(), context_, path));
    out.include_request_attempt_count = host.include_request_attempt_count();
    out.include_attempt_count_in_response = host.include_attempt_count_in_response();
    out.require_tls = require_tls(host.require_tls());
    out.include_is_timeout_retry_header = host.include_is_timeout_retry_header();
    REMORA_TRY(set_retries(host, context_, &out, path));
    REMORA_TRY(read_virtual_clusters(host, &out, path));
    if (host.has_matcher()) {
      REMORA_TRY(read_tree(host, &out, path));
      return out;
    }
    for (int i = 0; i < host.routes_size(); ++i) {
      auto compiled = route(host.routes(i), host.name(), path.at("routes", i));
      if (!compiled.ok()) return compiled.status();
      out.routes.push_back(*std::move(compiled));
    }
    return out;
  }

 private:
  static absl::Status read_domains(const proto::VirtualHost& host, router::VirtualHost* out,
                                   const Path& path) {
    for (int i = 0; i < host.domains_size(); ++i) {
      const std::string& domain = host.domains(i);
      const Path here = path.at("domains", i);
      REMORA_TRY(check_header_value(domain, here));
      if (domain.empty()) return here.error("must not be empty");
      // A star stands at one end only, or alone.
      if (domain.substr(1, domain.size() > 2 ? domain.size() - 2 : 0).find('*') !=
              std::string::npos ||
          (domain.size() > 1 && domain.front() == '*' && domain.back() == '*')) {
        return here.error(absl::StrCat("bad wildcard in '", domain, "'"));
      }
      out->domains.push_back(domain);
    }
    return absl::OkStatus();
  }

  static router::VirtualHost::RequireTls require_tls(proto::VirtualHost::TlsRequirementType type) {
    if (type == proto::VirtualHost::ALL) return router::VirtualHost::RequireTls::All;
    return type == proto::VirtualHost::EXTERNAL_ONLY ? router::VirtualHost::RequireTls::ExternalOnly
                                                     : router::VirtualHost::RequireTls::None;
  }

  /// Its leaves are routes of the virtual host.
  absl::Status read_tree(const proto::VirtualHost& host, router::VirtualHost* out,
                         const Path& path) {
    if (host.routes_size() > 0) return path.error("routes and matcher exclude each other");
    std::vector<router::RouteRange> ranges;
    const auto make_leaf = [&](const ::xds::core::v3::TypedExtensionConfig& action,
                               const Path& at) -> absl::StatusOr<policy::Toward> {
      const size_t first = out->routes.size();
      REMORA_TRY(read_leaf(action, host.name(), out, at.field("typed_config")));
      ranges.push_back({first, out->routes.size()});
      return policy::Toward::Either;
    };
    auto root =
        match_tree(host.matcher(), TreeUse::Routes, context_, make_leaf, path.field("matcher"));
    if (!root.ok()) return root.status();
    out->tree = policy::route_tree(*std::move(root), std::move(ranges));
    return absl::OkStatus();
  }

  absl::Status read_leaf(const ::xds::core::v3::TypedExtensionConfig& action,
                         const std::string& host, router::VirtualHost* out, const Path& path) {
    auto config = unwrap(action.typed_config(), path);
    if (!config.ok()) return config.status();
    const auto add = [&](const proto::Route& from, const Path& at) {
      auto compiled = route(from, host, at);
      if (compiled.ok()) out->routes.push_back(*std::move(compiled));
      return compiled.status();
    };
    proto::Route one;
    proto::RouteList list;
    if (config->type == proto::Route::descriptor()->full_name()) {
      if (!one.ParseFromString(config->bytes)) return path.error("is not valid");
      return add(one, path);
    }
    if (config->type != proto::RouteList::descriptor()->full_name()) {
      return path.error(absl::StrCat("unknown type ", config->type));
    }
    if (!list.ParseFromString(config->bytes)) return path.error("is not valid");
    for (int i = 0; i < list.routes_size(); ++i) {
      REMORA_TRY(add(list.routes(i), path.at("routes", i)));
    }
    return absl::OkStatus();
  }

  /// With one more for the requests that no other takes.
  absl::Status read_virtual_clusters(const proto::VirtualHost& host, router::VirtualHost* out,
                                     const Path& path) {
    if (host.virtual_clusters_size() == 0) return absl::OkStatus();
    const auto add = [&](const std::string& name, std::vector<router::HeaderMatch> headers) {
      out->virtual_clusters.push_back(
          {name, std::move(headers), counters(host.name(), "vcluster", name)});
    };
    for (int i = 0; i < host.virtual_clusters_size(); ++i) {
      const proto::VirtualCluster& from = host.virtual_clusters(i);
      const Path here = path.at("virtual_clusters", i);
      if (from.name().empty()) return here.field("name").error("is required");
      if (from.headers_size() == 0) return here.field("headers").error("must not be empty");
      std::vector<router::HeaderMatch> headers;
      for (int h = 0; h < from.headers_size(); ++h) {
        auto match = header_match(from.headers(h), context_, here.at("headers", h));
        if (!match.ok()) return match.status();
        headers.push_back(*std::move(match));
      }
      add(from.name(), std::move(headers));
    }
    add("other", {});
    return absl::OkStatus();
  }

  std::shared_ptr<router::RouteStats> counters(const std::string& host, std::string_view kind,
                                               const std::string& name) {
    return context_.stats.group<stats::RouteSchema>(
        absl::StrCat("vhost.", stats::sanitize(host), ".",
                     absl::string_view(kind.data(), kind.size()), ".", stats::sanitize(name)));
  }

  absl::StatusOr<router::Route> route(const proto::Route& from, const std::string& host,
                                      const Path& path) {
    if (!from.has_match()) return path.field("match").error("is required");
    router::Route out;
    out.name = from.name();
    if (!from.stat_prefix().empty()) out.stats = counters(host, "route", from.stat_prefix());
    REMORA_TRY_ASSIGN(out.match, route_match(from.match(), context_, path.field("match")));
    // A template tells parameters from the rest by itself.
    out.match.ignore_path_parameters =
        ignore_path_parameters_ && !from.match().has_path_match_policy();
    REMORA_TRY(read_action(from, &out, path));
    REMORA_TRY(read_extras(from, &out, path));
    REMORA_TRY(set_header_edits(from, path, &out.request_edits, &out.response_edits));
    REMORA_TRY_ASSIGN(out.filter_configs,
                      filter_configs(from.typed_per_filter_config(), context_, path));
    return out;
  }

  absl::Status read_extras(const proto::Route& from, router::Route* out, const Path& path) {
    auto extras = route_extras({table_, *host_, from}, context_, path);
    if (!extras.ok()) return extras.status();
    out->extras = *std::move(extras);
    if (out->extras == nullptr || !check_clusters_) return absl::OkStatus();
    for (const router::MirrorPolicy& mirror : out->extras->mirrors) {
      if (!mirror.cluster.empty()) {
        REMORA_TRY(check_cluster(mirror.cluster, path.field("request_mirror_policies")));
      }
    }
    return absl::OkStatus();
  }

  absl::Status read_action(const proto::Route& from, router::Route* out, const Path& path) {
    if (from.match().has_path_match_policy() &&
        (!from.route().prefix_rewrite().empty() || !from.redirect().prefix_rewrite().empty())) {
      return path.error("prefix_rewrite and path_match_policy exclude each other");
    }
    switch (from.action_case()) {
      case proto::Route::kRoute:
        return read_cluster_action(from, out, path.field("route"));
      case proto::Route::kRedirect:
        REMORA_TRY_ASSIGN(out->action,
                          redirect_action(from.redirect(), context_, path.field("redirect")));
        return absl::OkStatus();
      case proto::Route::kDirectResponse:
        REMORA_TRY_ASSIGN(out->action, direct_action(from.direct_response(), max_direct_body_bytes_,
                                                     path.field("direct_response")));
        return absl::OkStatus();
      case proto::Route::ACTION_NOT_SET:
        return path.error("has no action that is supported");
    }
    return absl::OkStatus();
  }

  absl::Status read_cluster_action(const proto::Route& from, router::Route* out, const Path& path) {
    auto action = cluster_action(from.route(), context_, path);
    if (!action.ok()) return action.status();
    if (from.route().has_path_rewrite_policy()) {
      const bool by_template = from.match().has_path_match_policy();
      REMORA_TRY(read_template_rewrite(from.route().path_rewrite_policy(),
                                       by_template ? out->match.regex.get() : nullptr, &*action,
                                       path.field("path_rewrite_policy")));
    }
    if (check_clusters_) {
      if (!action->cluster.empty()) {
        REMORA_TRY(check_cluster(action->cluster, path.field("cluster")));
      }
      const Path weighted = path.field("weighted_clusters");
      for (size_t i = 0; i < action->weighted.size(); ++i) {
        if (action->weighted[i].name.empty()) continue;
        REMORA_TRY(check_cluster(action->weighted[i].name, weighted.at("clusters", i)));
      }
    }
    out->action = *std::move(action);
    return absl::OkStatus();
  }

  absl::Status check_cluster(const std::string& name, const Path& path) const {
    if (!context_.has_cluster || context_.has_cluster(name)) return absl::OkStatus();
    return path.error(absl::StrCat("unknown cluster '", name, "'"));
  }

  const proto::RouteConfiguration& table_;
  const proto::VirtualHost* host_ = nullptr;  // that is being compiled
  Context& context_;
  const bool check_clusters_;
  const bool ignore_path_parameters_;
  const size_t max_direct_body_bytes_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<const router::RouteTable>> route_table(
    const proto::RouteConfiguration& table, ValidateClusters validate, Context& context,
    const Path& path) {
  router::RouteTable::Input input;
  input.name = table.name();
  REMORA_TRY(set_header_edits(table, path, &input.request_edits, &input.response_edits));
  router::FilterOverrides shared;
  REMORA_TRY_ASSIGN(shared, filter_configs(table.typed_per_filter_config(), context, path));
  Compiler compiler(table, validate, context);
  for (int i = 0; i < table.virtual_hosts_size(); ++i) {
    auto host = compiler.virtual_host(table.virtual_hosts(i), path.at("virtual_hosts", i));
    if (!host.ok()) return host.status();
    for (const auto& [name, config] : shared) host->filter_configs.try_emplace(name, config);
    input.hosts.push_back(*std::move(host));
  }
  for (int i = 0; i < table.internal_only_headers_size(); ++i) {
    const std::string& name = table.internal_only_headers(i);
    REMORA_TRY(check_header_name(name, path.at("internal_only_headers", i)));
    input.internal_only_headers.push_back(absl::AsciiStrToLower(name));
  }
  input.most_specific_header_mutations_wins = table.most_specific_header_mutations_wins();
  input.ignore_port_in_host_matching = table.ignore_port_in_host_matching();
  if (!table.vhost_header().empty()) {
    REMORA_TRY(check_header_name(table.vhost_header(), path.field("vhost_header")));
    input.vhost_header = request_header_name(table.vhost_header());
  }
  input.validate_clusters = validates(table, validate);
  input.content_hash = content_hash(table);
  auto built = router::RouteTable::build(std::move(input));
  if (!built.ok()) return prefixed(path.str(), built.status());
  return built;
}

absl::StatusOr<std::shared_ptr<const router::RouteTable>> routes(
    const proto::RouteConfiguration& table, Context& context) {
  context.resource = absl::StrCat("route configuration '", table.name(), "'");
  const Path root;
  REMORA_TRY(context.check_unknown(table, root));
  return route_table(table, ValidateClusters::No, context, root);
}

}  // namespace remora::xds::translate
