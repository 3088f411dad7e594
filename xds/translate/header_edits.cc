#include "xds/translate/header_edits.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>

#include "proxy/telemetry/log_format.h"
#include "xds/translate/joined_headers.h"
#include "xds/translate/values.h"

namespace remora::xds::translate {
namespace {

namespace core = envoy::config::core::v3;

constexpr int kMaxEdits = 1000;
constexpr size_t kMaxValueBytes = 16 * 1024;

// Routing has read these; changing them here would send a request where no route said.
bool is_fixed(std::string_view name) { return name.starts_with(':') || name == "host"; }

// "%%" is a percent sign; anything else behind '%' is a command.
std::optional<std::string> literal(std::string_view value) {
  std::string out;
  for (size_t i = 0; i < value.size(); ++i) {
    out.push_back(value[i]);
    if (value[i] != '%') continue;
    if (i + 1 >= value.size() || value[i + 1] != '%') return std::nullopt;
    ++i;
  }
  return out;
}

absl::Status set_value(const std::string& value, router::HeaderEdit* out, const Path& path) {
  if (std::optional<std::string> text = literal(value)) {
    out->value = *std::move(text);
    return absl::OkStatus();
  }
  auto format = telemetry::LogFormat::text(value, telemetry::Missing::Empty);
  if (!format.ok()) return path.error(std::string(format.status().message()));
  out->format = std::make_shared<const telemetry::LogFormat>(*std::move(format));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<router::HeaderEdit> header_edit(const core::HeaderValueOption& proto,
                                               const Path& path) {
  const core::HeaderValue& header = proto.header();
  REMORA_TRY(check_header_name(header.key(), path.field("header.key")));
  router::HeaderEdit out;
  out.name = absl::AsciiStrToLower(header.key());
  if (is_fixed(out.name)) {
    return path.field("header.key").error(":-prefixed or host headers may not be modified");
  }
  if (!header.value().empty() && !header.raw_value().empty()) {
    return path.field("header").error("value and raw_value exclude each other");
  }
  const Path at_value = path.field("header.value");
  const std::string& value = header.raw_value().empty() ? header.value() : header.raw_value();
  if (value.size() > kMaxValueBytes) return at_value.error("is too long");
  REMORA_TRY(check_header_value(value, at_value));
  REMORA_TRY(set_value(value, &out, at_value));
  REMORA_TRY_ASSIGN(out.action, append_action(proto, path));
  out.id = http::header_id_of(out.name);
  out.keep_empty = proto.keep_empty_value();
  return out;
}

absl::StatusOr<router::HeaderEdit::Action> append_action(const core::HeaderValueOption& proto,
                                                         const Path& path) {
  using Action = router::HeaderEdit::Action;
  if (proto.has_append()) {
    if (proto.append_action() != core::HeaderValueOption::APPEND_IF_EXISTS_OR_ADD) {
      return path.error("append and append_action exclude each other");
    }
    return proto.append().value() ? Action::AppendOrAdd : Action::OverwriteOrAdd;
  }
  switch (proto.append_action()) {
    case core::HeaderValueOption::ADD_IF_ABSENT:
      return Action::AddIfAbsent;
    case core::HeaderValueOption::OVERWRITE_IF_EXISTS_OR_ADD:
      return Action::OverwriteOrAdd;
    case core::HeaderValueOption::OVERWRITE_IF_EXISTS:
      return Action::OverwriteIfExists;
    default:
      return Action::AppendOrAdd;
  }
}

absl::StatusOr<router::HeaderEdits> header_edits(const HeadersToAdd& add,
                                                 const HeadersToRemove& remove,
                                                 std::string_view direction, const Path& path) {
  router::HeaderEdits out;
  const std::string add_name = std::string(direction) + "_headers_to_add";
  const std::string remove_name = std::string(direction) + "_headers_to_remove";
  if (add.size() > kMaxEdits) return path.field(add_name).error("has more than 1000 elements");
  for (int i = 0; i < add.size(); ++i) {
    auto edit = header_edit(add[i], path.at(add_name, i));
    if (!edit.ok()) return edit.status();
    edit->joins =
        direction == "request" ? joins_in_requests(edit->name) : joins_in_responses(edit->name);
    out.add.push_back(*std::move(edit));
  }
  for (int i = 0; i < remove.size(); ++i) {
    const Path here = path.at(remove_name, i);
    REMORA_TRY(check_header_name(remove[i], here));
    std::string name = absl::AsciiStrToLower(remove[i]);
    if (is_fixed(name)) return here.error(":-prefixed or host headers may not be removed");
    out.remove.push_back(std::move(name));
  }
  return out;
}

}  // namespace remora::xds::translate
