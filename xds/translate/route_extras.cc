#include "xds/translate/route_extras.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "api/redirect_allow_listed_routes.pb.h"
#include "api/redirect_previous_routes.pb.h"
#include "api/redirect_safe_cross_scheme.pb.h"
#include "proxy/connection_manager/header_mutation.h"
#include "xds/translate/access_log.h"
#include "xds/translate/header_mutation.h"
#include "xds/translate/runtime.h"
#include "xds/translate/typed_config.h"
#include "xds/translate/values.h"

namespace remora::xds::translate {
namespace {

namespace proto = envoy::config::route::v3;
namespace predicates = envoy::extensions::internal_redirect;
using MirrorProto = proto::RouteAction::RequestMirrorPolicy;
using ListedRoutes = predicates::allow_listed_routes::v3::AllowListedRoutesConfig;
using PreviousRoutes = predicates::previous_routes::v3::PreviousRoutesConfig;
using SafeCrossScheme = predicates::safe_cross_scheme::v3::SafeCrossSchemeConfig;

constexpr auto kRedirectCodes = std::to_array<uint32_t>({301, 302, 303, 307, 308});
constexpr int kMaxCodes = 5;

// -------------------------------------------------------------------------------------------------
// mirrors

absl::Status read_mirror_cluster(const MirrorProto& from, router::MirrorPolicy* out,
                                 const Path& path) {
  if (from.cluster().empty() == from.cluster_header().empty()) {
    return path.error("needs either cluster or cluster_header");
  }
  out->cluster = from.cluster();
  if (from.cluster_header().empty()) return absl::OkStatus();
  REMORA_TRY(check_header_name(from.cluster_header(), path.field("cluster_header")));
  out->cluster_header = request_header_name(from.cluster_header());
  return absl::OkStatus();
}

absl::StatusOr<router::MirrorPolicy> mirror(const MirrorProto& from, Context& context,
                                            const Path& path) {
  router::MirrorPolicy out;
  REMORA_TRY(read_mirror_cluster(from, &out, path));
  if (from.has_runtime_fraction()) {
    out.fraction_per_million = per_million(from.runtime_fraction(), context.runtime);
  }
  if (from.trace_sampled().value()) {
    return path.field("trace_sampled").error("is not supported: there is no tracer");
  }
  out.appends_suffix = !from.disable_shadow_host_suffix_append();
  REMORA_TRY(check_header_value(from.host_rewrite_literal(), path.field("host_rewrite_literal")));
  out.host = from.host_rewrite_literal();
  out.forwarded_for = context.node.local_address;
  auto edits = header_mutations(from.request_headers_mutations(), "request_headers_mutations",
                                context, path);
  if (!edits.ok()) return edits.status();
  if (edits->empty()) return out;
  out.edit = [edits = *std::move(edits)](const http::StreamInfo& info, http::HeaderMap& copy) {
    std::string scratch;
    connection_manager::apply(edits, info, scratch, copy);
  };
  return out;
}

/// The most specific level that names any is the one that counts.
absl::Status read_mirrors(const RouteProtos& protos, Context& context, router::RouteExtras* out,
                          const Path& path) {
  const auto* policies = &protos.route.route().request_mirror_policies();
  Path at = path.field("route");
  if (policies->empty()) {
    policies = &protos.host.request_mirror_policies();
    at = path;
  }
  if (policies->empty()) policies = &protos.table.request_mirror_policies();
  for (int i = 0; i < policies->size(); ++i) {
    auto compiled = mirror((*policies)[i], context, at.at("request_mirror_policies", i));
    if (!compiled.ok()) return compiled.status();
    out->mirrors.push_back(*std::move(compiled));
  }
  return absl::OkStatus();
}

// -------------------------------------------------------------------------------------------------
// redirects

absl::StatusOr<router::RedirectPredicate> predicate(const google::protobuf::Any& from,
                                                    const Path& path) {
  using Kind = router::RedirectPredicate::Kind;
  auto config = unwrap(from, path);
  if (!config.ok()) return config.status();
  if (config->type == PreviousRoutes::descriptor()->full_name()) {
    return router::RedirectPredicate{Kind::NewRoutes, {}};
  }
  if (config->type == SafeCrossScheme::descriptor()->full_name()) {
    return router::RedirectPredicate{Kind::SafeScheme, {}};
  }
  if (config->type != ListedRoutes::descriptor()->full_name()) {
    return path.error(absl::StrCat("unknown type ", config->type));
  }
  router::RedirectPredicate out{Kind::ListedRoutes, {}};
  ListedRoutes listed;
  if (!listed.ParseFromString(config->bytes)) return path.error("is not valid");
  for (int i = 0; i < listed.allowed_route_names_size(); ++i) {
    if (listed.allowed_route_names(i).empty()) {
      return path.at("allowed_route_names", i).error("must not be empty");
    }
    out.routes.push_back(listed.allowed_route_names(i));
  }
  return out;
}

absl::Status read_headers_to_copy(const proto::InternalRedirectPolicy& from,
                                  router::InternalRedirectPolicy* out, const Path& path) {
  for (int i = 0; i < from.response_headers_to_copy_size(); ++i) {
    const Path at = path.at("response_headers_to_copy", i);
    REMORA_TRY(check_header_name(from.response_headers_to_copy(i), at));
    std::string name = absl::AsciiStrToLower(from.response_headers_to_copy(i));
    if (name.starts_with(':') || name == "host") {
      return at.error(":-prefixed headers or Hosts may not be specified here.");
    }
    if (std::ranges::find(out->to_copy, name) != out->to_copy.end()) {
      return at.error("is there twice");
    }
    out->to_copy.push_back(std::move(name));
  }
  return absl::OkStatus();
}

absl::StatusOr<router::InternalRedirectPolicy> redirect_policy(
    const proto::InternalRedirectPolicy& from, const Path& path) {
  router::InternalRedirectPolicy out;
  if (from.has_max_internal_redirects()) out.max_redirects = from.max_internal_redirects().value();
  if (from.redirect_response_codes_size() > kMaxCodes) {
    return path.field("redirect_response_codes").error("has more than 5 elements");
  }
  if (from.redirect_response_codes_size() > 0) out.codes.clear();
  for (const uint32_t code : from.redirect_response_codes()) {
    if (std::ranges::find(kRedirectCodes, code) == kRedirectCodes.end()) continue;  // as Envoy does
    out.codes.push_back(static_cast<uint16_t>(code));
  }
  for (int i = 0; i < from.predicates_size(); ++i) {
    const Path at = path.at("predicates", i);
    auto compiled = predicate(from.predicates(i).typed_config(), at.field("typed_config"));
    if (!compiled.ok()) return compiled.status();
    out.predicates.push_back(*std::move(compiled));
  }
  out.any_scheme = from.allow_cross_scheme_redirect();
  REMORA_TRY(read_headers_to_copy(from, &out, path));
  return out;
}

/// The policy, or the older fields that say the same of 302 alone.
absl::Status read_redirects(const proto::RouteAction& action, router::RouteExtras* out,
                            const Path& path) {
  if (action.has_internal_redirect_policy()) {
    REMORA_TRY_ASSIGN(out->redirects, redirect_policy(action.internal_redirect_policy(),
                                                      path.field("internal_redirect_policy")));
  } else if (action.internal_redirect_action() == proto::RouteAction::HANDLE_INTERNAL_REDIRECT) {
    out->redirects.emplace();
    if (action.has_max_internal_redirects()) {
      out->redirects->max_redirects = action.max_internal_redirects().value();
    }
  }
  return absl::OkStatus();
}

// -------------------------------------------------------------------------------------------------
// the rest

absl::Status read_body_format(const proto::DirectResponseAction& action, Context& context,
                              router::RouteExtras* out, const Path& path) {
  if (!action.has_body_format()) return absl::OkStatus();
  const Path at = path.field("body_format");
  const auto& from = action.body_format();
  out->direct.emplace();
  REMORA_TRY_ASSIGN(out->direct->format, substitution_format(from, context, at));
  REMORA_TRY(check_header_value(from.content_type(), at.field("content_type")));
  out->direct->content_type = from.content_type();
  if (!from.content_type().empty()) return absl::OkStatus();
  out->direct->content_type = from.has_json_format() ? "application/json" : "text/plain";
  return absl::OkStatus();
}

/// The newer field of any level goes before the older one, and the route before its host.
std::optional<uint64_t> body_limit(const RouteProtos& protos) {
  const auto& [table, host, route] = protos;
  if (route.has_request_body_buffer_limit()) return route.request_body_buffer_limit().value();
  if (host.has_request_body_buffer_limit()) return host.request_body_buffer_limit().value();
  if (route.has_per_request_buffer_limit_bytes()) {
    return route.per_request_buffer_limit_bytes().value();
  }
  if (host.has_per_request_buffer_limit_bytes()) {
    return host.per_request_buffer_limit_bytes().value();
  }
  return std::nullopt;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const router::RouteExtras>> route_extras(const RouteProtos& protos,
                                                                        Context& context,
                                                                        const Path& path) {
  router::RouteExtras out;
  out.body_limit = body_limit(protos);
  if (protos.route.has_route()) {
    REMORA_TRY(read_mirrors(protos, context, &out, path));
    REMORA_TRY(read_redirects(protos.route.route(), &out, path.field("route")));
  }
  if (protos.route.has_direct_response()) {
    REMORA_TRY(read_body_format(protos.route.direct_response(), context, &out,
                                path.field("direct_response")));
  }
  if (out.mirrors.empty() && !out.redirects && !out.direct && !out.body_limit) return nullptr;
  return std::make_shared<const router::RouteExtras>(std::move(out));
}

}  // namespace remora::xds::translate
