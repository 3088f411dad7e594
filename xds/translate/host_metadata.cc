#include "xds/translate/host_metadata.h"

#include <google/protobuf/struct.pb.h>

#include <utility>

#include "xds/translate/context.h"

namespace remora::xds::translate {
namespace {

MetadataValue metadata_value(const google::protobuf::Value& from) {
  using Value = google::protobuf::Value;
  switch (from.kind_case()) {
    case Value::kNumberValue:
      return from.number_value();
    case Value::kStringValue:
      return from.string_value();
    case Value::kBoolValue:
      return from.bool_value();
    case Value::kStructValue:
      return metadata_struct(from.struct_value());
    case Value::kListValue: {
      MetadataList list;
      for (const Value& element : from.list_value().values()) {
        list.push_back(metadata_value(element));
      }
      return list;
    }
    case Value::kNullValue:
    case Value::KIND_NOT_SET:
      break;
  }
  return {};
}

const google::protobuf::Struct* balancing_part(const envoy::config::core::v3::Metadata& from) {
  const auto found = from.filter_metadata().find(std::string(upstream::kBalancingMetadata));
  return found == from.filter_metadata().end() ? nullptr : &found->second;
}

}  // namespace

MetadataStruct metadata_struct(const google::protobuf::Struct& from) {
  MetadataStruct out;
  for (const auto& [key, value] : from.fields()) out.emplace(key, metadata_value(value));
  return out;
}

std::shared_ptr<const Metadata> host_metadata(const envoy::config::core::v3::Metadata& from) {
  if (from.filter_metadata().empty()) return nullptr;
  auto out = std::make_shared<Metadata>();
  for (const auto& [name, fields] : from.filter_metadata()) {
    out->at(name) = metadata_struct(fields);
  }
  return out;
}

upstream::TransportLabels transport_labels(const google::protobuf::Struct& from) {
  upstream::TransportLabels out;
  for (const auto& [key, value] : from.fields()) {
    std::vector<std::string> texts = {canonical_text(value)};
    for (const auto& element : value.list_value().values()) {
      texts.push_back(canonical_text(element));
    }
    out.emplace_back(key, std::move(texts));
  }
  return out;
}

std::shared_ptr<const upstream::HostLabels> host_labels(
    const envoy::config::core::v3::Metadata& from) {
  const google::protobuf::Struct* part = balancing_part(from);
  if (part == nullptr) return nullptr;
  return std::make_shared<const upstream::HostLabels>(upstream::HostLabels{metadata_struct(*part)});
}

std::shared_ptr<const upstream::MetadataCriteria> metadata_criteria(
    const envoy::config::core::v3::Metadata& from,
    const std::shared_ptr<const upstream::MetadataCriteria>& parent) {
  const google::protobuf::Struct* part = balancing_part(from);
  if (part == nullptr) return parent;
  MetadataStruct own = metadata_struct(*part);
  if (parent == nullptr) return std::make_shared<upstream::MetadataCriteria>(std::move(own));
  return std::make_shared<upstream::MetadataCriteria>(parent->merged(own));
}

}  // namespace remora::xds::translate
