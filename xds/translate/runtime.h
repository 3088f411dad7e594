// The layered runtime's static layers: keys with values that stand for the defaults that
// configuration names. Resolved when a configuration is compiled, so the data path never asks.
// Immutable after start.
#pragma once

#include <google/protobuf/struct.pb.h>

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/core.pb.h"

namespace remora::xds::translate {

class Runtime {
 public:
  /// Later layers win. Nested structures become dotted keys: {a: {b: 1}} is "a.b".
  void add_layer(std::string name, const google::protobuf::Struct* values);

  std::optional<double> number(std::string_view key) const;
  std::optional<bool> truth(std::string_view key) const;

  /// For /runtime: each key with its text in each layer, empty where the layer does not have it.
  const std::vector<std::string>& layers() const { return layers_; }
  const std::map<std::string, std::vector<std::string>, std::less<>>& texts() const {
    return texts_;
  }

  const google::protobuf::Value* find(std::string_view key) const;

 private:
  void add(const std::string& key, const google::protobuf::Value& value);

  std::vector<std::string> layers_;
  std::map<std::string, google::protobuf::Value, std::less<>> values_;
  std::map<std::string, std::vector<std::string>, std::less<>> texts_;
};

/// Values with a runtime key; `runtime` may be null.
uint32_t per_million(const envoy::type::v3::FractionalPercent& percent);  // at most 1,000,000
uint32_t per_million(const envoy::config::core::v3::RuntimeFractionalPercent& percent,
                     const Runtime* runtime);
double resolve(const envoy::config::core::v3::RuntimeDouble& value, const Runtime* runtime);
uint32_t resolve(const envoy::config::core::v3::RuntimeUInt32& value, const Runtime* runtime);

}  // namespace remora::xds::translate
