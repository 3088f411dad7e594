// Facts that filters leave for one another, for policy and for logs: by the name of the filter that
// left them, then structured like JSON. Also what endpoints, routes and listeners carry in their
// configuration. Plain values; owned by the stream, connection or configuration. Document:
// envoy.config.core.v3.Metadata.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace remora {

class MetadataValue;
using MetadataStruct = std::map<std::string, MetadataValue, std::less<>>;
using MetadataList = std::vector<MetadataValue>;

/// google.protobuf.Value: null, number, text, truth, list or struct.
class MetadataValue {
 public:
  MetadataValue() = default;
  MetadataValue(double number) : value_(number) {}
  MetadataValue(bool truth) : value_(truth) {}
  MetadataValue(std::string text) : value_(std::move(text)) {}
  MetadataValue(std::string_view text) : value_(std::string(text)) {}
  MetadataValue(const char* text) : value_(std::string(text)) {}
  MetadataValue(MetadataList list) : value_(std::move(list)) {}
  MetadataValue(MetadataStruct fields) : value_(std::move(fields)) {}

  bool is_null() const { return std::holds_alternative<std::monostate>(value_); }
  const double* number() const { return std::get_if<double>(&value_); }
  const bool* truth() const { return std::get_if<bool>(&value_); }
  const std::string* text() const { return std::get_if<std::string>(&value_); }
  const MetadataList* list() const { return std::get_if<MetadataList>(&value_); }
  const MetadataStruct* fields() const { return std::get_if<MetadataStruct>(&value_); }

  bool operator==(const MetadataValue&) const = default;

 private:
  std::variant<std::monostate, double, bool, std::string, MetadataList, MetadataStruct> value_;
};

/// Compact JSON, keys in order.
void append_json(const MetadataValue& value, std::string& out);
void append_json(const MetadataStruct& fields, std::string& out);

/// Costs one pointer while nothing is in it.
class Metadata {
 public:
  bool empty() const { return filters_ == nullptr || filters_->empty(); }
  /// Null: the filter has left nothing.
  const MetadataStruct* find(std::string_view filter) const;
  /// Follows `path` through structs; an empty path is the whole struct and gives null too, as it is
  /// no value.
  const MetadataValue* find(std::string_view filter, std::span<const std::string> path) const;
  /// Made when it is not there.
  MetadataStruct& at(std::string_view filter);
  /// Merges as Envoy does: structs field by field, lists appended, other values replaced.
  void merge(std::string_view filter, const MetadataStruct& fields);
  void clear() { filters_.reset(); }
  const std::map<std::string, MetadataStruct, std::less<>>* all() const { return filters_.get(); }

 private:
  std::unique_ptr<std::map<std::string, MetadataStruct, std::less<>>> filters_;
};

}  // namespace remora
