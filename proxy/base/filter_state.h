// Named text that filters leave for those behind them, for policy and logs; of a connection or of
// one stream, which sees its connection's too. Owned by the connection's facts or the stream's
// info; its worker's thread. Document: Envoy's "well known filter state objects".
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace remora {

/// Costs one pointer while nothing is in it.
class FilterState {
 public:
  /// Null: there is none of that name.
  const std::string* find(std::string_view name) const {
    if (values_ == nullptr) return nullptr;
    auto at = values_->find(name);
    return at == values_->end() ? nullptr : &at->second;
  }
  void set(std::string_view name, std::string value) {
    if (values_ == nullptr) values_ = std::make_unique<Map>();
    values_->insert_or_assign(std::string(name), std::move(value));
  }
  void clear() { values_.reset(); }

 private:
  using Map = std::map<std::string, std::string, std::less<>>;
  std::unique_ptr<Map> values_;
};

}  // namespace remora
