// Compiles the configuration of the HTTP filter that keeps sessions on their host. Main thread.
#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>

#include <memory>

#include "api/session_cookie.pb.h"
#include "api/session_header.pb.h"
#include "api/stateful_session.pb.h"
#include "filters/http/stateful_session/stateful_session.h"
#include "proxy/http/filter_registry.h"
#include "xds/translate/context.h"
#include "xds/translate/typed_config.h"
#include "xds/translate/values.h"

namespace remora {
namespace {

namespace proto = envoy::extensions::filters::http::stateful_session::v3;
namespace state = envoy::extensions::http::stateful_session;
using stateful_session::SessionConfig;
using xds::translate::Path;

constexpr uint64_t kMsPerSecond = 1000;

absl::Status read_cookie(const state::cookie::v3::CookieBasedSessionState& from, SessionConfig* out,
                         const Path& path) {
  out->carrier = SessionConfig::Carrier::Cookie;
  const Path here = path.field("cookie");
  const Path at_name = here.field("name");
  if (from.cookie().name().empty()) return at_name.error("is required");
  REMORA_TRY(xds::translate::check_header_value(from.cookie().name(), at_name));
  REMORA_TRY(xds::translate::check_header_value(from.cookie().path(), here.field("path")));
  out->name = from.cookie().name();
  out->path = from.cookie().path();
  if (!from.cookie().has_ttl()) return absl::OkStatus();
  REMORA_TRY_ASSIGN(out->ttl_s,
                    xds::translate::milliseconds(from.cookie().ttl(), here.field("ttl")));
  out->ttl_s /= kMsPerSecond;
  return absl::OkStatus();
}

absl::Status read_header(const state::header::v3::HeaderBasedSessionState& from, SessionConfig* out,
                         const Path& path) {
  out->carrier = SessionConfig::Carrier::Header;
  REMORA_TRY(xds::translate::check_header_name(from.name(), path.field("name")));
  out->name = absl::AsciiStrToLower(from.name());
  return absl::OkStatus();
}

absl::StatusOr<SessionConfig> session_config(const proto::StatefulSession& from,
                                             const FactoryContext& context, const Path& path) {
  SessionConfig out;
  out.strict = from.strict();
  if (!from.has_session_state()) return out;
  const Path at = path.field("session_state.typed_config");
  auto config = xds::translate::unwrap(from.session_state().typed_config(), at);
  if (!config.ok()) return config.status();
  state::cookie::v3::CookieBasedSessionState cookie;
  state::header::v3::HeaderBasedSessionState header;
  if (config->type == cookie.GetDescriptor()->full_name()) {
    if (!cookie.ParseFromString(config->bytes)) return at.error("is not a valid message");
    REMORA_TRY(read_cookie(cookie, &out, at));
  } else if (config->type == header.GetDescriptor()->full_name()) {
    if (!header.ParseFromString(config->bytes)) return at.error("is not a valid message");
    REMORA_TRY(read_header(header, &out, at));
  } else {
    REMORA_TRY(
        context.translation.not_honoured(at, absl::StrCat("unknown type ", config->type), true));
  }
  return out;
}

absl::StatusOr<std::shared_ptr<const http::FilterFactory>> make(std::string_view bytes,
                                                                const FactoryContext& context) {
  const Path path;
  proto::StatefulSession from;
  if (!from.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return path.error("is not a StatefulSession");
  }
  stateful_session::FilterConfig config;
  config.filter_name = context.filter_name;
  REMORA_TRY_ASSIGN(config.session, session_config(from, context, path));
  return std::make_shared<
      http::FilterOf<stateful_session::StatefulSession, stateful_session::FilterConfig>>(
      std::move(config));
}

absl::StatusOr<std::shared_ptr<const void>> make_for_route(std::string_view bytes,
                                                           const FactoryContext& context) {
  const Path path;
  proto::StatefulSessionPerRoute from;
  if (!from.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return path.error("is not a StatefulSessionPerRoute");
  }
  auto out = std::make_shared<SessionConfig>();
  switch (from.override_case()) {
    case proto::StatefulSessionPerRoute::kDisabled:
      if (!from.disabled()) return path.field("disabled").error("must be true");
      return out;
    case proto::StatefulSessionPerRoute::kStatefulSession:
      REMORA_TRY_ASSIGN(
          *out, session_config(from.stateful_session(), context, path.field("stateful_session")));
      return out;
    case proto::StatefulSessionPerRoute::OVERRIDE_NOT_SET:
      break;
  }
  return path.field("override").error("is required");
}

}  // namespace

void register_http_filter_stateful_session(http::FilterRegistry& registry) {
  registry.add(
      {.type = "envoy.extensions.filters.http.stateful_session.v3.StatefulSession",
       .make = &make,
       .route_type = "envoy.extensions.filters.http.stateful_session.v3.StatefulSessionPerRoute",
       .make_route_config = &make_for_route});
}

}  // namespace remora
