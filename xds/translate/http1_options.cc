#include "xds/translate/http1_options.h"

#include "api/preserve_case.pb.h"
#include "xds/translate/match.h"
#include "xds/translate/typed_config.h"
#include "xds/translate/values.h"

namespace remora::xds::translate {
namespace {

namespace core = envoy::config::core::v3;
using envoy::extensions::http::header_formatters::preserve_case::v3::PreserveCaseFormatterConfig;

absl::Status check_not_honoured(const core::Http1ProtocolOptions& from, Context& context,
                                const Path& path) {
  if (from.allow_chunked_length()) {
    REMORA_TRY(context.not_honoured(path.field("allow_chunked_length"),
                                    "would let two readers see two different messages", true));
  }
  if (from.send_fully_qualified_url()) {
    REMORA_TRY(context.not_honoured(path.field("send_fully_qualified_url"),
                                    "is for requests, which go to clusters", false));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<http::NameOptions> name_options(const core::Http1ProtocolOptions& from,
                                               const Path& path) {
  http::NameOptions out;
  if (!from.has_header_key_format()) return out;
  const Path here = path.field("header_key_format");
  switch (from.header_key_format().header_format_case()) {
    case core::Http1ProtocolOptions::HeaderKeyFormat::kProperCaseWords:
      out.written = http::NameCase::Proper;
      return out;
    case core::Http1ProtocolOptions::HeaderKeyFormat::kStatefulFormatter: {
      const Path at = here.field("stateful_formatter.typed_config");
      auto formatter = unpack_as<PreserveCaseFormatterConfig>(
          from.header_key_format().stateful_formatter().typed_config(), at);
      if (!formatter.ok()) return formatter.status();
      out.remember = true;
      out.remember_reason = formatter->forward_reason_phrase();
      if (formatter->formatter_type_on_envoy_headers() ==
          PreserveCaseFormatterConfig::PROPER_CASE) {
        out.others = http::NameCase::Proper;
      }
      return out;
    }
    case core::Http1ProtocolOptions::HeaderKeyFormat::HEADER_FORMAT_NOT_SET:
      break;
  }
  return here.error("has no format");
}

absl::Status set_http1_options(const core::Http1ProtocolOptions& from, Context& context,
                               http1::Options* out, const Path& path) {
  out->accept_http_10 = from.accept_http_10();
  out->default_host_for_http_10 = from.default_host_for_http_10();
  out->enable_trailers = from.enable_trailers();
  out->allow_custom_methods = from.allow_custom_methods();
  if (from.has_allow_absolute_url()) out->allow_absolute_url = from.allow_absolute_url().value();
  REMORA_TRY(
      check_header_value(from.default_host_for_http_10(), path.field("default_host_for_http_10")));
  REMORA_TRY_ASSIGN(out->names, name_options(from, path));
  for (int i = 0; i < from.ignore_http_11_upgrade_size(); ++i) {
    auto match =
        string_match(from.ignore_http_11_upgrade(i), context, path.at("ignore_http_11_upgrade", i));
    if (!match.ok()) return match.status();
    out->ignored_upgrades.push_back(*std::move(match));
  }
  // use_balsa_parser chooses between Envoy's parsers; there is one here.
  return check_not_honoured(from, context, path);
}

}  // namespace remora::xds::translate
