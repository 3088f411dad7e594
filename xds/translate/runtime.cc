#include "xds/translate/runtime.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>

#include <algorithm>

namespace remora::xds::translate {
namespace {

namespace pb = google::protobuf;

constexpr uint64_t kMillion = 1'000'000;

std::string text_of(const pb::Value& value) {
  switch (value.kind_case()) {
    case pb::Value::kNumberValue:
      return absl::StrCat(value.number_value());
    case pb::Value::kBoolValue:
      return value.bool_value() ? "true" : "false";
    case pb::Value::kStringValue:
      return value.string_value();
    default:
      return value.ShortDebugString();
  }
}

// A fraction is a structure that is a value as a whole.
bool is_fraction(const pb::Value& value) {
  return value.kind_case() == pb::Value::kStructValue &&
         value.struct_value().fields().contains("numerator");
}

}  // namespace

void Runtime::add_layer(std::string name, const pb::Struct* values) {
  layers_.push_back(std::move(name));
  for (auto& [key, texts] : texts_) texts.resize(layers_.size());
  if (values == nullptr) return;
  for (const auto& [key, value] : values->fields()) add(key, value);
}

void Runtime::add(const std::string& key, const pb::Value& value) {
  if (value.kind_case() == pb::Value::kStructValue && !is_fraction(value)) {
    for (const auto& [inner, nested] : value.struct_value().fields()) {
      add(absl::StrCat(key, ".", inner), nested);
    }
    return;
  }
  values_[key] = value;
  std::vector<std::string>& texts = texts_[key];
  texts.resize(layers_.size());
  texts.back() = text_of(value);
}

const pb::Value* Runtime::find(std::string_view key) const {
  auto at = values_.find(key);
  return at == values_.end() ? nullptr : &at->second;
}

std::optional<double> Runtime::number(std::string_view key) const {
  const pb::Value* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (value->kind_case() == pb::Value::kNumberValue) return value->number_value();
  double number = 0;
  if (value->kind_case() == pb::Value::kStringValue &&
      absl::SimpleAtod(value->string_value(), &number)) {
    return number;
  }
  return std::nullopt;
}

std::optional<bool> Runtime::truth(std::string_view key) const {
  const pb::Value* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (value->kind_case() == pb::Value::kBoolValue) return value->bool_value();
  if (value->kind_case() == pb::Value::kStringValue) {
    if (value->string_value() == "true") return true;
    if (value->string_value() == "false") return false;
  }
  return std::nullopt;
}

uint32_t per_million(const envoy::type::v3::FractionalPercent& percent) {
  uint64_t factor = kMillion / 100;
  if (percent.denominator() == envoy::type::v3::FractionalPercent::TEN_THOUSAND) factor = 100;
  if (percent.denominator() == envoy::type::v3::FractionalPercent::MILLION) factor = 1;
  return static_cast<uint32_t>(std::min(percent.numerator() * factor, kMillion));
}

uint32_t per_million(const envoy::config::core::v3::RuntimeFractionalPercent& percent,
                     const Runtime* runtime) {
  const pb::Value* value = runtime == nullptr ? nullptr : runtime->find(percent.runtime_key());
  if (value != nullptr && is_fraction(*value)) {
    const auto& fields = value->struct_value().fields();
    envoy::type::v3::FractionalPercent given;
    given.set_numerator(static_cast<uint32_t>(
        std::clamp(fields.at("numerator").number_value(), 0.0, static_cast<double>(UINT32_MAX))));
    auto denominator = fields.find("denominator");
    envoy::type::v3::FractionalPercent::DenominatorType type =
        envoy::type::v3::FractionalPercent::HUNDRED;
    if (denominator != fields.end()) {
      envoy::type::v3::FractionalPercent::DenominatorType_Parse(denominator->second.string_value(),
                                                                &type);
    }
    given.set_denominator(type);
    return per_million(given);
  }
  // A plain number counts in hundredths.
  if (value != nullptr) {
    if (auto number = runtime->number(percent.runtime_key())) {
      return static_cast<uint32_t>(std::clamp(*number, 0.0, 100.0)) * (kMillion / 100);
    }
  }
  return per_million(percent.default_value());
}

double resolve(const envoy::config::core::v3::RuntimeDouble& value, const Runtime* runtime) {
  if (runtime == nullptr) return value.default_value();
  return runtime->number(value.runtime_key()).value_or(value.default_value());
}

uint32_t resolve(const envoy::config::core::v3::RuntimeUInt32& value, const Runtime* runtime) {
  if (runtime == nullptr) return value.default_value();
  auto number = runtime->number(value.runtime_key());
  if (!number || *number < 0 || *number > UINT32_MAX) return value.default_value();
  return static_cast<uint32_t>(*number);
}

}  // namespace remora::xds::translate
