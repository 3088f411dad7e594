#include "xds/translate/route.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>

#include "xds/translate/filter_configs.h"
#include "xds/translate/header_edits.h"
#include "xds/translate/match.h"
#include "xds/translate/route_action.h"
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
      : context_(context),
        check_clusters_(validates(table, validate)),
        max_direct_body_bytes_(table.has_max_direct_response_body_size_bytes()
                                   ? table.max_direct_response_body_size_bytes().value()
                                   : kDefaultDirectBodyBytes) {}

  absl::StatusOr<router::VirtualHost> virtual_host(const proto::VirtualHost& host,
                                                   const Path& path) {
    if (host.name().empty()) return path.field("name").error("is required");
    if (host.domains_size() == 0) return path.field("domains").error("must not be empty");
    router::VirtualHost out;
    out.name = host.name();
    REMORA_TRY(read_domains(host, &out, path));
    REMORA_TRY(set_header_edits(host, path, &out.request_edits, &out.response_edits));
    REMORA_TRY_ASSIGN(out.filter_configs,
                      filter_configs(host.typed_per_filter_config(), context_, path));
    out.include_request_attempt_count = host.include_request_attempt_count();
    out.include_attempt_count_in_response = host.include_attempt_count_in_response();
    out.require_tls = require_tls(host.require_tls());
    if (host.has_retry_policy()) {
      REMORA_TRY_ASSIGN(out.retry,
                        retry_policy(host.retry_policy(), context_, path.field("retry_policy")));
    }
    for (int i = 0; i < host.routes_size(); ++i) {
      auto compiled = route(host.routes(i), path.at("routes", i));
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

  absl::StatusOr<router::Route> route(const proto::Route& from, const Path& path) {
    if (!from.has_match()) return path.field("match").error("is required");
    router::Route out;
    out.name = from.name();
    REMORA_TRY_ASSIGN(out.match, route_match(from.match(), context_, path.field("match")));
    REMORA_TRY(read_action(from, &out, path));
    REMORA_TRY(set_header_edits(from, path, &out.request_edits, &out.response_edits));
    REMORA_TRY_ASSIGN(out.filter_configs,
                      filter_configs(from.typed_per_filter_config(), context_, path));
    return out;
  }

  absl::Status read_action(const proto::Route& from, router::Route* out, const Path& path) {
    switch (from.action_case()) {
      case proto::Route::kRoute:
        return read_cluster_action(from.route(), out, path.field("route"));
      case proto::Route::kRedirect:
        REMORA_TRY_ASSIGN(out->action, redirect_action(from.redirect(), path.field("redirect")));
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

  absl::Status read_cluster_action(const proto::RouteAction& from, router::Route* out,
                                   const Path& path) {
    auto action = cluster_action(from, context_, path);
    if (!action.ok()) return action.status();
    if (check_clusters_) {
      if (!action->cluster.empty()) {
        REMORA_TRY(check_cluster(action->cluster, path.field("cluster")));
      }
      const Path weighted = path.field("weighted_clusters");
      for (size_t i = 0; i < action->weighted.size(); ++i) {
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

  Context& context_;
  const bool check_clusters_;
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
