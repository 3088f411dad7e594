#include "xds/translate/header_mutation.h"

#include <absl/strings/ascii.h>

#include <algorithm>
#include <iterator>

#include "api/early_header_mutation.pb.h"
#include "xds/translate/header_edits.h"
#include "xds/translate/match.h"
#include "xds/translate/typed_config.h"
#include "xds/translate/values.h"

namespace remora::xds::translate {
namespace {

namespace core = envoy::config::core::v3;
namespace early = envoy::extensions::http::early_header_mutation::header_mutation::v3;
using Proto = envoy::config::common::mutation_rules::v3::HeaderMutation;
using connection_manager::HeaderMutation;
using telemetry::LogFormat;

constexpr int kMaxHeaders = 1000;
constexpr size_t kMaxValueBytes = 16 * 1024;

absl::Status set_name(const std::string& name, const Path& path, HeaderMutation* out) {
  REMORA_TRY(check_header_name(name, path));
  out->name = absl::AsciiStrToLower(name);
  out->id = http::header_id_of(out->name);
  if (out->name.starts_with(':') || out->name == "host") {
    return path.error(":-prefixed or host headers may not be modified");
  }
  return absl::OkStatus();
}

absl::StatusOr<HeaderMutation> addition(const core::HeaderValueOption& from, const Path& path) {
  HeaderMutation out;
  REMORA_TRY(set_name(from.header().key(), path.field("header.key"), &out));
  if (!from.header().value().empty() && !from.header().raw_value().empty()) {
    return path.field("header").error("value and raw_value exclude each other");
  }
  const Path at = path.field("header.value");
  const std::string& value =
      from.header().raw_value().empty() ? from.header().value() : from.header().raw_value();
  if (value.size() > kMaxValueBytes) return at.error("is too long");
  REMORA_TRY(check_header_value(value, at));
  auto format = LogFormat::text(value, telemetry::Missing::Empty);
  if (!format.ok()) return at.error(std::string(format.status().message()));
  out.value = std::make_shared<const LogFormat>(*std::move(format));
  REMORA_TRY_ASSIGN(out.action, append_action(from, path));
  out.keep_empty = from.keep_empty_value();
  return out;
}

absl::StatusOr<HeaderMutation> mutation(const Proto& from, Context& context, const Path& path) {
  HeaderMutation out;
  switch (from.action_case()) {
    case Proto::kAppend:
      return addition(from.append(), path.field("append"));
    case Proto::kRemove:
      out.kind = HeaderMutation::Kind::Remove;
      REMORA_TRY(set_name(from.remove(), path.field("remove"), &out));
      return out;
    case Proto::kRemoveOnMatch:
      out.kind = HeaderMutation::Kind::RemoveMatching;
      REMORA_TRY_ASSIGN(out.names, string_match(from.remove_on_match().key_matcher(), context,
                                                path.field("remove_on_match.key_matcher")));
      return out;
    case Proto::ACTION_NOT_SET:
      break;
  }
  return path.error("has no action");
}

}  // namespace

absl::StatusOr<HeaderMutations> headers_to_add(
    const google::protobuf::RepeatedPtrField<core::HeaderValueOption>& protos,
    std::string_view name, const Path& path) {
  HeaderMutations out;
  if (protos.size() > kMaxHeaders) return path.field(name).error("has more than 1000 elements");
  for (int i = 0; i < protos.size(); ++i) {
    auto compiled = addition(protos[i], path.at(name, i));
    if (!compiled.ok()) return compiled.status();
    out.push_back(*std::move(compiled));
  }
  return out;
}

absl::StatusOr<HeaderMutations> header_mutations(
    const google::protobuf::RepeatedPtrField<Proto>& protos, std::string_view name,
    Context& context, const Path& path) {
  HeaderMutations out;
  for (int i = 0; i < protos.size(); ++i) {
    auto compiled = mutation(protos[i], context, path.at(name, i));
    if (!compiled.ok()) return compiled.status();
    out.push_back(*std::move(compiled));
  }
  return out;
}

absl::StatusOr<HeaderMutations> early_header_mutations(
    const google::protobuf::RepeatedPtrField<core::TypedExtensionConfig>& protos, Context& context,
    const Path& path) {
  HeaderMutations out;
  for (int i = 0; i < protos.size(); ++i) {
    const Path here = path.at("early_header_mutation_extensions", i);
    const Path at = here.field("typed_config");
    auto extension = unpack_as<early::HeaderMutation>(protos[i].typed_config(), at);
    if (!extension.ok()) return extension.status();
    if (extension->mutations().empty()) return at.field("mutations").error("must not be empty");
    auto compiled = header_mutations(extension->mutations(), "mutations", context, at);
    if (!compiled.ok()) return compiled.status();
    std::ranges::move(*compiled, std::back_inserter(out));
  }
  return out;
}

}  // namespace remora::xds::translate
