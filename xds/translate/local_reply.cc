#include "xds/translate/local_reply.h"

#include "xds/translate/access_log.h"
#include "xds/translate/header_mutation.h"
#include "xds/translate/log_filter.h"
#include "xds/translate/values.h"

namespace remora::xds::translate {
namespace {

namespace hcm = envoy::extensions::filters::network::http_connection_manager::v3;
using connection_manager::LocalReplies;
using envoy::config::core::v3::SubstitutionFormatString;

constexpr size_t kMaxBodyBytes = 1024 * 1024;

absl::StatusOr<LocalReplies::BodyFormat> body_format(const SubstitutionFormatString& from,
                                                     Context& context, const Path& path) {
  LocalReplies::BodyFormat out;
  REMORA_TRY_ASSIGN(out.format, substitution_format(from, context, path));
  REMORA_TRY(check_header_value(from.content_type(), path.field("content_type")));
  out.content_type = from.content_type();
  if (out.content_type.empty()) {
    out.content_type = from.has_json_format() ? "application/json" : "text/plain";
  }
  return out;
}

absl::StatusOr<LocalReplies::Mapper> mapper(const hcm::ResponseMapper& from, Context& context,
                                            const Path& path) {
  LocalReplies::Mapper out;
  const Path filter = path.field("filter");
  if (from.filter().filter_specifier_case() ==
      envoy::config::accesslog::v3::AccessLogFilter::FILTER_SPECIFIER_NOT_SET) {
    return filter.error("has no filter that is supported");
  }
  REMORA_TRY_ASSIGN(out.filter, log_filter(from.filter(), context, filter));
  if (from.has_status_code()) {
    const uint32_t status = from.status_code().value();
    if (status < 200 || status > 599)
      return path.field("status_code").error("must be from 200 to 599");
    out.status = static_cast<uint16_t>(status);
  }
  if (from.has_body()) {
    const Path at = path.field("body");
    REMORA_TRY_ASSIGN(out.body, data_source(from.body(), at, kMaxBodyBytes));
  }
  if (from.has_body_format_override()) {
    REMORA_TRY_ASSIGN(out.format, body_format(from.body_format_override(), context,
                                              path.field("body_format_override")));
  }
  REMORA_TRY_ASSIGN(out.headers, headers_to_add(from.headers_to_add(), "headers_to_add", path));
  return out;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const LocalReplies>> local_replies(const hcm::LocalReplyConfig& from,
                                                                  Context& context,
                                                                  const Path& path) {
  auto out = std::make_shared<LocalReplies>();
  for (int i = 0; i < from.mappers_size(); ++i) {
    auto compiled = mapper(from.mappers(i), context, path.at("mappers", i));
    if (!compiled.ok()) return compiled.status();
    out->mappers.push_back(*std::move(compiled));
  }
  if (from.has_body_format()) {
    REMORA_TRY_ASSIGN(out->format,
                      body_format(from.body_format(), context, path.field("body_format")));
  }
  return out;
}

}  // namespace remora::xds::translate
