#include "xds/translate/access_log.h"

#include <absl/strings/str_cat.h>

#include <algorithm>

#include "api/file_access_log.pb.h"
#include "api/stream_access_log.pb.h"
#include "proxy/telemetry/access_log.h"
#include "xds/translate/log_filter.h"
#include "xds/translate/typed_config.h"
#include "xds/translate/values.h"

namespace remora::xds::translate {
namespace {

namespace pb = google::protobuf;
namespace loggers = envoy::extensions::access_loggers;
using envoy::config::core::v3::SubstitutionFormatString;
using loggers::file::v3::FileAccessLog;
using loggers::stream::v3::StderrAccessLog;
using loggers::stream::v3::StdoutAccessLog;
using telemetry::JsonTemplate;
using telemetry::LogFormat;
using telemetry::Missing;

constexpr size_t kMaxFormatBytes = 64 * 1024;

// ------------------------------------------------------------------------------------------------
// formats
JsonTemplate json_template(const pb::Value& value);

JsonTemplate json_template(const pb::Struct& object) {
  JsonTemplate::Fields fields;
  for (const auto& [name, value] : object.fields()) {
    fields.emplace_back(name, json_template(value));
  }
  std::ranges::sort(fields, {}, [](const auto& field) { return field.first; });
  return {std::move(fields)};
}

JsonTemplate json_template(const pb::Value& value) {
  switch (value.kind_case()) {
    case pb::Value::kBoolValue:
      return {value.bool_value()};
    case pb::Value::kNumberValue:
      return {value.number_value()};
    case pb::Value::kStringValue:
      return {value.string_value()};
    case pb::Value::kStructValue:
      return json_template(value.struct_value());
    case pb::Value::kListValue: {
      JsonTemplate::Items items;
      for (const pb::Value& item : value.list_value().values()) {
        items.push_back(json_template(item));
      }
      return {std::move(items)};
    }
    default:
      return {nullptr};
  }
}

using FormatPtr = std::shared_ptr<const LogFormat>;

absl::StatusOr<FormatPtr> shared(absl::StatusOr<LogFormat> format, const Path& path) {
  if (!format.ok()) return path.error(std::string(format.status().message()));
  return std::make_shared<const LogFormat>(*std::move(format));
}

absl::StatusOr<FormatPtr> text_format(const std::string& text, Missing missing, const Path& path) {
  return shared(LogFormat::text(text, missing), path);
}

absl::StatusOr<FormatPtr> default_format() {
  return shared(LogFormat::text(telemetry::kDefaultLogFormat), Path());
}

absl::StatusOr<FormatPtr> file_format(const FileAccessLog& from, Context& context,
                                      const Path& path) {
  switch (from.access_log_format_case()) {
    case FileAccessLog::kFormat:
      if (from.format().empty()) return default_format();
      return text_format(from.format(), Missing::Dash, path.field("format"));
    case FileAccessLog::kJsonFormat:
      return shared(LogFormat::json(json_template(from.json_format())), path.field("json_format"));
    case FileAccessLog::kLogFormat:
      return substitution_format(from.log_format(), context, path.field("log_format"));
    case FileAccessLog::ACCESS_LOG_FORMAT_NOT_SET:
      return default_format();
  }
  return default_format();
}

// ------------------------------------------------------------------------------------------------
// logs
struct Destination {
  telemetry::LogSink* sink = nullptr;  // null: of a kind that is left out
  FormatPtr format;
};

template <class Stream>
absl::StatusOr<Destination> stream(const TypedBytes& config, telemetry::LogSink* sink,
                                   Context& context, const Path& path) {
  Stream from;
  if (!from.ParseFromString(config.bytes)) return path.error("is not a valid message");
  Destination out{sink, nullptr};
  REMORA_TRY_ASSIGN(out.format,
                    from.has_log_format()
                        ? substitution_format(from.log_format(), context, path.field("log_format"))
                        : default_format());
  return out;
}

absl::StatusOr<Destination> file(const TypedBytes& config, Context& context, const Path& path) {
  FileAccessLog from;
  if (!from.ParseFromString(config.bytes)) return path.error("is not a valid message");
  const Path at = path.field("path");
  if (from.path().empty()) return at.error("is required");
  Destination out;
  REMORA_TRY_ASSIGN(out.format, file_format(from, context, path));
  auto sink = context.access_logs->file(from.path());
  if (!sink.ok()) return at.error(std::string(sink.status().message()));
  out.sink = *sink;
  return out;
}

absl::StatusOr<Destination> destination(const pb::Any& any, Context& context, const Path& path) {
  TypedBytes config;
  REMORA_TRY_ASSIGN(config, unwrap(any, path));
  if (context.access_logs == nullptr) return path.error("access logs are not supported here");
  if (config.type == FileAccessLog::descriptor()->full_name()) return file(config, context, path);
  if (config.type == StdoutAccessLog::descriptor()->full_name()) {
    return stream<StdoutAccessLog>(config, context.access_logs->standard_output(), context, path);
  }
  if (config.type == StderrAccessLog::descriptor()->full_name()) {
    return stream<StderrAccessLog>(config, context.access_logs->standard_error(), context, path);
  }
  REMORA_TRY(context.not_honoured(path, absl::StrCat("unknown type ", config.type), false));
  return Destination();
}

}  // namespace

absl::StatusOr<FormatPtr> substitution_format(const SubstitutionFormatString& from,
                                              Context& context, const Path& path) {
  REMORA_TRY(context.only_honoured(from,
                                   {"text_format", "json_format", "text_format_source",
                                    "omit_empty_values", "json_format_options", "content_type"},
                                   path));  // properties are always sorted
  const Missing missing = from.omit_empty_values() ? Missing::Empty : Missing::Dash;
  switch (from.format_case()) {
    case SubstitutionFormatString::kTextFormat:
      return text_format(from.text_format(), missing, path.field("text_format"));
    case SubstitutionFormatString::kTextFormatSource: {
      const Path here = path.field("text_format_source");
      auto text = data_source(from.text_format_source(), here, kMaxFormatBytes);
      if (!text.ok()) return text.status();
      return text_format(*text, missing, here);
    }
    case SubstitutionFormatString::kJsonFormat:
      return shared(LogFormat::json(json_template(from.json_format()), missing),
                    path.field("json_format"));
    case SubstitutionFormatString::FORMAT_NOT_SET:
      return path.error("has no format");
  }
  return path.error("has no format");
}

absl::StatusOr<AccessLogs> access_logs(
    const pb::RepeatedPtrField<envoy::config::accesslog::v3::AccessLog>& protos,
    std::string_view name, Context& context, const Path& path) {
  AccessLogs out;
  for (int i = 0; i < protos.size(); ++i) {
    const Path here = path.at(name, i);
    telemetry::LogFilter filter;
    if (protos[i].has_filter()) {
      REMORA_TRY_ASSIGN(filter, log_filter(protos[i].filter(), context, here.field("filter")));
    }
    auto to = destination(protos[i].typed_config(), context, here.field("typed_config"));
    if (!to.ok()) return to.status();
    if (to->sink == nullptr) continue;
    out.push_back(std::make_shared<telemetry::AccessLog>(*to->sink, std::move(to->format),
                                                         std::move(filter)));
  }
  return out;
}

}  // namespace remora::xds::translate
