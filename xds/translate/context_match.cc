#include "xds/translate/context_match.h"

#include "xds/translate/match.h"
#include "xds/translate/metadata_match.h"
#include "xds/translate/values.h"

namespace remora::xds::translate {
namespace {

namespace matcher = envoy::type::matcher::v3;
namespace route = envoy::config::route::v3;

absl::StatusOr<std::vector<CidrRange>> address_ranges(const matcher::AddressMatcher& proto,
                                                      const Path& path) {
  std::vector<CidrRange> out;
  for (int i = 0; i < proto.ranges_size(); ++i) {
    envoy::config::core::v3::CidrRange range;
    range.set_address_prefix(proto.ranges(i).address_prefix());
    range.mutable_prefix_len()->set_value(proto.ranges(i).prefix_len().value());
    auto compiled = cidr_range(range, path.at("ranges", i));
    if (!compiled.ok()) return compiled.status();
    out.push_back(*std::move(compiled));
  }
  return out;
}

absl::StatusOr<router::CookieMatch> cookie_match(const route::CookieMatcher& proto,
                                                 const Context& context, const Path& path) {
  router::CookieMatch out;
  if (proto.name().empty()) return path.field("name").error("is required");
  if (!proto.has_string_match()) return path.field("string_match").error("is required");
  out.name = proto.name();
  out.invert = proto.invert_match();
  REMORA_TRY_ASSIGN(out.value,
                    string_match(proto.string_match(), context, path.field("string_match")));
  return out;
}

}  // namespace

absl::StatusOr<router::FilterStateMatch> filter_state_match(
    const matcher::FilterStateMatcher& proto, const Context& context, const Path& path) {
  using Matcher = matcher::FilterStateMatcher;
  router::FilterStateMatch out;
  out.key = proto.key();
  if (out.key.empty()) return path.field("key").error("is required");
  switch (proto.matcher_case()) {
    case Matcher::kStringMatch:
      REMORA_TRY_ASSIGN(out.match,
                        string_match(proto.string_match(), context, path.field("string_match")));
      return out;
    case Matcher::kAddressMatch: {
      router::FilterStateMatch::InRanges in;
      in.invert = proto.address_match().invert_match();
      REMORA_TRY_ASSIGN(in.ranges,
                        address_ranges(proto.address_match(), path.field("address_match")));
      out.match = std::move(in);
      return out;
    }
    case Matcher::MATCHER_NOT_SET:
      break;
  }
  return path.error("has no matcher that is supported");
}

absl::StatusOr<std::shared_ptr<const router::ContextMatch>> context_match(
    const route::RouteMatch& proto, const Context& context, const Path& path) {
  router::ContextMatch out;
  for (int i = 0; i < proto.cookies_size(); ++i) {
    auto match = cookie_match(proto.cookies(i), context, path.at("cookies", i));
    if (!match.ok()) return match.status();
    out.cookies.push_back(*std::move(match));
  }
  for (int i = 0; i < proto.dynamic_metadata_size(); ++i) {
    auto match = metadata_match(proto.dynamic_metadata(i), context, path.at("dynamic_metadata", i));
    if (!match.ok()) return match.status();
    out.metadata.push_back(*std::move(match));
  }
  for (int i = 0; i < proto.filter_state_size(); ++i) {
    auto match = filter_state_match(proto.filter_state(i), context, path.at("filter_state", i));
    if (!match.ok()) return match.status();
    out.filter_state.push_back(*std::move(match));
  }
  const route::RouteMatch::TlsContextMatchOptions& tls = proto.tls_context();
  if (tls.has_presented()) out.certificate_presented = tls.presented().value();
  if (tls.has_validated()) out.certificate_validated = tls.validated().value();
  const bool none = out.cookies.empty() && out.metadata.empty() && out.filter_state.empty() &&
                    !out.certificate_presented && !out.certificate_validated;
  if (none) return nullptr;
  return std::make_shared<const router::ContextMatch>(std::move(out));
}

}  // namespace remora::xds::translate
