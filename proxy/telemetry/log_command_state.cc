// Commands on what filters have left, dynamic metadata and filter state, and on what is known of
// the upstream.
#include <algorithm>
#include <utility>

#include "proxy/telemetry/log_command_entry.h"

namespace remora::telemetry {
namespace {

using http::StreamInfo;
using Arguments = LogArguments;
using Entry = LogCommandEntry;

// -------------------------------------------------------------------------------------------------
// metadata: "NAMESPACE:KEY:KEY"

/// The older way to write it: ["NAMESPACE", "KEY"].
absl::Status compile_metadata_list(std::string_view argument, Arguments& out) {
  if (!argument.ends_with(']')) return absl::InvalidArgumentError("expected a list");
  argument = argument.substr(1, argument.size() - 2);
  while (!argument.empty()) {
    const size_t comma = std::min(argument.find(','), argument.size());
    const std::string_view item = argument.substr(0, comma);
    argument.remove_prefix(std::min(comma + 1, argument.size()));
    const size_t open = item.find('"'), close = item.rfind('"');
    if (open == close) return absl::InvalidArgumentError("expected names in quotes");
    out.path.emplace_back(item.substr(open + 1, close - open - 1));
  }
  if (out.path.empty()) return absl::InvalidArgumentError("needs a name space");
  out.text = std::move(out.path.front());
  out.path.erase(out.path.begin());
  return out.text.empty() ? absl::InvalidArgumentError("needs a name space") : absl::OkStatus();
}

absl::Status compile_metadata(std::string_view argument, Arguments& out) {
  if (argument.starts_with('[')) return compile_metadata_list(argument, out);
  const size_t colon = argument.find(':');
  out.text = argument.substr(0, colon);
  if (out.text.empty()) return absl::InvalidArgumentError("needs a name space");
  while (colon != std::string_view::npos && !argument.empty()) {
    const size_t start = argument.find(':');
    if (start == std::string_view::npos) break;
    argument.remove_prefix(start + 1);
    out.path.emplace_back(argument.substr(0, argument.find(':')));
  }
  return absl::OkStatus();
}

const Metadata* dynamic(const StreamInfo& info) {
  if (info.is_http) return &info.dynamic_metadata;
  return info.connection == nullptr ? nullptr : &info.connection->metadata;
}

const Metadata* of_upstream(const StreamInfo& info) { return info.upstream_metadata; }

using MetadataOf = const Metadata* (*)(const StreamInfo& info);

template <class Append>
bool with_metadata(const Metadata* metadata, const Arguments& a, Append append) {
  if (metadata == nullptr) return false;
  if (a.path.empty()) {
    const MetadataStruct* all = metadata->find(a.text);
    if (all != nullptr) append(*all);
    return all != nullptr;
  }
  const MetadataValue* value = metadata->find(a.text, a.path);
  if (value == nullptr) return false;
  append(*value);
  return true;
}

template <MetadataOf metadata_of>
bool metadata_json(const Arguments& a, const StreamInfo& info, std::string& out) {
  return with_metadata(metadata_of(info), a, [&](const auto& value) { append_json(value, out); });
}

/// A text stands as it is, without quotes.
template <MetadataOf metadata_of>
bool metadata_text(const Arguments& a, const StreamInfo& info, std::string& out) {
  const Metadata* metadata = metadata_of(info);
  const MetadataValue* value =
      metadata == nullptr || a.path.empty() ? nullptr : metadata->find(a.text, a.path);
  if (value == nullptr || value->text() == nullptr) {
    return metadata_json<metadata_of>(a, info, out);
  }
  out += *value->text();
  return true;
}

// -------------------------------------------------------------------------------------------------
// filter state: "KEY", "KEY:PLAIN", "KEY:TYPED"

enum class Spelling : uint8_t { Typed, Plain };

absl::Status compile_filter_state(std::string_view argument, Arguments& out) {
  const size_t colon = argument.find(':');
  const std::string_view how =
      colon == std::string_view::npos ? "TYPED" : argument.substr(colon + 1);
  out.text = argument.substr(0, colon);
  if (out.text.empty()) return absl::InvalidArgumentError("needs a key");
  if (how != "PLAIN" && how != "TYPED")
    return absl::InvalidArgumentError("expected PLAIN or TYPED");
  out.first = static_cast<uint8_t>(how == "PLAIN" ? Spelling::Plain : Spelling::Typed);
  return absl::OkStatus();
}

/// The older name of the same, for text alone.
absl::Status compile_request_state(std::string_view argument, Arguments& out) {
  out.text = argument;
  out.first = static_cast<uint8_t>(Spelling::Plain);
  return argument.empty() ? absl::InvalidArgumentError("needs a key") : absl::OkStatus();
}

// The one object that is not text: "2,3" stands for a message with two numbers.
constexpr std::string_view kGrpcStats = "envoy.filters.http.grpc_stats";

/// As protobuf writes that message: without zeros.
void append_grpc_stats(std::string_view counts, std::string& out) {
  const size_t comma = std::min(counts.find(','), counts.size());
  const std::string_view requests = counts.substr(0, comma);
  const std::string_view responses = counts.substr(std::min(comma + 1, counts.size()));
  out += '{';
  if (requests != "0") out.append(R"("requestMessageCount":")").append(requests).append("\"");
  if (requests != "0" && responses != "0") out += ',';
  if (responses != "0") out.append(R"("responseMessageCount":")").append(responses).append("\"");
  out += '}';
}

bool filter_state_json(const Arguments& a, const StreamInfo& info, std::string& out) {
  const std::string* value = info.find_filter_state(a.text);
  if (value == nullptr) return false;
  if (a.text == kGrpcStats) {
    append_grpc_stats(*value, out);
  } else {
    append_json(MetadataValue(*value), out);
  }
  return true;
}

bool filter_state_text(const Arguments& a, const StreamInfo& info, std::string& out) {
  if (static_cast<Spelling>(a.first) == Spelling::Typed) return filter_state_json(a, info, out);
  const std::string* value = info.find_filter_state(a.text);
  if (value == nullptr) return false;
  out += *value;
  return true;
}

const Entry kEntries[] = {
    {"DYNAMIC_METADATA", Entry::Type::Json, metadata_text<dynamic>, Entry::Takes::Argument,
     compile_metadata, metadata_json<dynamic>},
    {"UPSTREAM_METADATA", Entry::Type::Json, metadata_text<of_upstream>, Entry::Takes::Argument,
     compile_metadata, metadata_json<of_upstream>},
    {"FILTER_STATE", Entry::Type::Json, filter_state_text, Entry::Takes::Argument,
     compile_filter_state, filter_state_json},
    {"PER_REQUEST_STATE", Entry::Type::Json, filter_state_text, Entry::Takes::Argument,
     compile_request_state, filter_state_json},
};

}  // namespace

std::span<const Entry> state_commands() { return kEntries; }

}  // namespace remora::telemetry
