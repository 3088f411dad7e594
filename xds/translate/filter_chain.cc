#include "xds/translate/filter_chain.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>

#include <functional>

#include "proxy/stats/names.h"
#include "xds/translate/transport_socket.h"
#include "xds/translate/typed_config.h"
#include "xds/translate/values.h"

namespace remora::xds::translate {
namespace {

namespace proto = envoy::config::listener::v3;

constexpr uint32_t kMaxPort = 65535;

// ------------------------------------------------------------------------------------------------
// matching
FilterChainMatchSpec::SourceType source_type(proto::FilterChainMatch::ConnectionSourceType type) {
  using SourceType = FilterChainMatchSpec::SourceType;
  if (type == proto::FilterChainMatch::SAME_IP_OR_LOOPBACK) return SourceType::SameIpOrLoopback;
  return type == proto::FilterChainMatch::EXTERNAL ? SourceType::External : SourceType::Any;
}

absl::Status read_ports(const proto::FilterChainMatch& match, FilterChainMatchSpec* out,
                        const Path& path) {
  if (match.has_destination_port()) {
    out->destination_port = match.destination_port().value();
    if (*out->destination_port < 1 || *out->destination_port > kMaxPort) {
      return path.field("destination_port").error("must be from 1 to 65535");
    }
  }
  for (int i = 0; i < match.source_ports_size(); ++i) {
    if (match.source_ports(i) < 1 || match.source_ports(i) > kMaxPort) {
      return path.at("source_ports", i).error("must be from 1 to 65535");
    }
    out->source_ports.push_back(match.source_ports(i));
  }
  return absl::OkStatus();
}

absl::StatusOr<FilterChainMatchSpec> match_spec(const proto::FilterChainMatch& match,
                                                const Path& path) {
  if (!match.address_suffix().empty())
    return path.field("address_suffix").error("is not supported");
  if (match.has_suffix_len()) return path.field("suffix_len").error("is not supported");
  FilterChainMatchSpec out;
  REMORA_TRY(read_ports(match, &out, path));
  REMORA_TRY_ASSIGN(out.prefix_ranges, cidr_ranges(match.prefix_ranges(), "prefix_ranges", path));
  REMORA_TRY_ASSIGN(
      out.direct_source_prefix_ranges,
      cidr_ranges(match.direct_source_prefix_ranges(), "direct_source_prefix_ranges", path));
  REMORA_TRY_ASSIGN(out.source_prefix_ranges,
                    cidr_ranges(match.source_prefix_ranges(), "source_prefix_ranges", path));
  out.source_type = source_type(match.source_type());
  out.transport_protocol = match.transport_protocol();
  for (const std::string& name : match.server_names()) {
    out.server_names.push_back(absl::AsciiStrToLower(name));
  }
  out.application_protocols.assign(match.application_protocols().begin(),
                                   match.application_protocols().end());
  return out;
}

// ------------------------------------------------------------------------------------------------
// filters
absl::StatusOr<std::shared_ptr<const NetworkFilterFactory>> network_filter(
    const proto::Filter& filter, Context& context, const Path& path) {
  const Path at = path.field("typed_config");
  if (filter.name().empty()) return path.field("name").error("is required");
  if (!filter.has_typed_config()) return at.error("is required");
  TypedBytes config;
  REMORA_TRY_ASSIGN(config, unwrap(filter.typed_config(), at));
  const NetworkFilterRegistration* known = context.registries.network.find(config.type);
  if (known == nullptr) return at.error(absl::StrCat("unknown type ", config.type));
  const std::string text = at.str();
  auto made = known->make(config.bytes, {context.stats, context, text});
  if (!made.ok()) return prefixed(text, made.status());
  return made;
}

absl::Status read_filters(const proto::FilterChain& chain, Context& context, FilterChainConfig* out,
                          const Path& path) {
  if (chain.filters_size() == 0) {
    return path.field("filters").error("must not be empty: a terminal filter is needed");
  }
  for (int i = 0; i < chain.filters_size(); ++i) {
    const Path here = path.at("filters", i);
    auto filter = network_filter(chain.filters(i), context, here);
    if (!filter.ok()) return filter.status();
    const bool last = i + 1 == chain.filters_size();
    if ((*filter)->terminal() != last) {
      return here.error(last ? "the last filter must be a terminal one"
                             : "a terminal filter must be the last one");
    }
    out->filters.push_back(*std::move(filter));
  }
  return absl::OkStatus();
}

// ------------------------------------------------------------------------------------------------
// conditions
using Condition = std::function<bool(const ConnectionFacts&)>;
using Predicate = proto::ListenerFilterChainMatchPredicate;

constexpr int kMaxPredicateDepth = 32;

absl::StatusOr<Condition> condition(const Predicate& predicate, int depth, const Path& path);

absl::StatusOr<std::vector<Condition>> conditions(const Predicate::MatchSet& set, int depth,
                                                  const Path& path) {
  if (set.rules_size() < 2) return path.field("rules").error("must have at least two elements");
  std::vector<Condition> out;
  for (int i = 0; i < set.rules_size(); ++i) {
    auto rule = condition(set.rules(i), depth, path.at("rules", i));
    if (!rule.ok()) return rule.status();
    out.push_back(*std::move(rule));
  }
  return out;
}

absl::StatusOr<Condition> condition(const Predicate& predicate, int depth, const Path& path) {
  if (depth > kMaxPredicateDepth) return path.error("is nested too deeply");
  switch (predicate.rule_case()) {
    case Predicate::kOrMatch: {
      auto rules = conditions(predicate.or_match(), depth + 1, path.field("or_match"));
      if (!rules.ok()) return rules.status();
      return [rules = *std::move(rules)](const ConnectionFacts& facts) {
        return std::ranges::any_of(rules, [&](const Condition& rule) { return rule(facts); });
      };
    }
    case Predicate::kAndMatch: {
      auto rules = conditions(predicate.and_match(), depth + 1, path.field("and_match"));
      if (!rules.ok()) return rules.status();
      return [rules = *std::move(rules)](const ConnectionFacts& facts) {
        return std::ranges::all_of(rules, [&](const Condition& rule) { return rule(facts); });
      };
    }
    case Predicate::kNotMatch: {
      auto rule = condition(predicate.not_match(), depth + 1, path.field("not_match"));
      if (!rule.ok()) return rule.status();
      return [rule = *std::move(rule)](const ConnectionFacts& facts) { return !rule(facts); };
    }
    case Predicate::kAnyMatch:
      if (!predicate.any_match()) return path.field("any_match").error("must be true");
      return [](const ConnectionFacts&) { return true; };
    case Predicate::kDestinationPortRange: {
      const auto& range = predicate.destination_port_range();
      if (range.start() >= range.end()) {
        return path.field("destination_port_range").error("ends before it starts");
      }
      return [start = range.start(), end = range.end()](const ConnectionFacts& facts) {
        return facts.local.is_ip() && facts.local.port() >= start && facts.local.port() < end;
      };
    }
    case Predicate::RULE_NOT_SET:
      return path.error("has no rule");
  }
  return path.error("has no rule");
}

/// A listener filter that some connections go without.
class ConditionalFilter final : public ListenerFilterFactory {
 public:
  ConditionalFilter(std::shared_ptr<const ListenerFilterFactory> filter, Condition disabled)
      : filter_(std::move(filter)), disabled_(std::move(disabled)) {}

  std::unique_ptr<ListenerFilter> make() const override { return filter_->make(); }
  bool disabled_for(const ConnectionFacts& facts) const override {
    return disabled_(facts) || filter_->disabled_for(facts);
  }

 private:
  const std::shared_ptr<const ListenerFilterFactory> filter_;
  const Condition disabled_;
};

}  // namespace

absl::StatusOr<FilterChainConfig> filter_chain(const proto::FilterChain& chain, Context& context,
                                               const Path& path) {
  FilterChainConfig out;
  out.name = chain.name();
  REMORA_TRY_ASSIGN(out.match,
                    match_spec(chain.filter_chain_match(), path.field("filter_chain_match")));
  const std::string scope =
      absl::StrCat(chain.name(), "/", content_hash(chain.filter_chain_match()));
  const std::string stat_prefix = stats::listener_prefix(context.listener_stat_name);
  REMORA_TRY_ASSIGN(out.transport,
                    transport_socket(chain.transport_socket(),
                                     {TransportUser::Side::Downstream, stat_prefix, scope}, context,
                                     path.field("transport_socket")));
  REMORA_TRY(read_filters(chain, context, &out, path));
  if (chain.has_transport_socket_connect_timeout()) {
    REMORA_TRY_ASSIGN(out.transport_connect_timeout_ms,
                      milliseconds(chain.transport_socket_connect_timeout(),
                                   path.field("transport_socket_connect_timeout")));
  }
  out.content_hash = content_hash(chain);
  return out;
}

absl::StatusOr<std::shared_ptr<const ListenerFilterFactory>> listener_filter(
    const proto::ListenerFilter& filter, Context& context, const Path& path) {
  const Path at = path.field("typed_config");
  if (filter.name().empty()) return path.field("name").error("is required");
  if (!filter.has_typed_config()) return at.error("is required");
  TypedBytes config;
  REMORA_TRY_ASSIGN(config, unwrap(filter.typed_config(), at));
  const ListenerFilterRegistration* known = context.registries.listener.find(config.type);
  if (known == nullptr) return at.error(absl::StrCat("unknown type ", config.type));
  const std::string text = at.str();
  auto made = known->make(config.bytes, {context.stats, context, text});
  if (!made.ok()) return prefixed(text, made.status());
  if (!filter.has_filter_disabled()) return made;
  auto disabled = condition(filter.filter_disabled(), 0, path.field("filter_disabled"));
  if (!disabled.ok()) return disabled.status();
  return std::make_shared<ConditionalFilter>(*std::move(made), *std::move(disabled));
}

}  // namespace remora::xds::translate
