#include "proxy/router/value_match.h"

#include <algorithm>

namespace remora::router {
namespace {

bool holds(const ValueMatch::Null&, const MetadataValue& value) { return value.is_null(); }
bool holds(const ValueMatch::Present& match, const MetadataValue&) { return match.wanted; }

bool holds(const ValueMatch::Range& match, const MetadataValue& value) {
  const double* number = value.number();
  return number != nullptr && *number >= match.start && *number < match.end;
}

bool holds(double wanted, const MetadataValue& value) {
  return value.number() != nullptr && *value.number() == wanted;
}

bool holds(bool wanted, const MetadataValue& value) {
  return value.truth() != nullptr && *value.truth() == wanted;
}

bool holds(const StringMatch& match, const MetadataValue& value) {
  return value.text() != nullptr && match.matches(*value.text());
}

bool holds(const ValueMatch::OneOfList& match, const MetadataValue& value) {
  return value.list() != nullptr &&
         std::ranges::any_of(*value.list(), [&](const MetadataValue& element) {
           return match.element.front().matches(&element);
         });
}

bool holds(const ValueMatch::Any& match, const MetadataValue& value) {
  return std::ranges::any_of(match.of, [&](const ValueMatch& one) { return one.matches(&value); });
}

}  // namespace

bool ValueMatch::matches(const MetadataValue* value) const {
  if (value == nullptr) return false;
  return std::visit([&](const auto& match) { return holds(match, *value); }, is);
}

}  // namespace remora::router
