// What configurations said and was accepted without being honoured: counted, logged once per place,
// listed at /unsupported. Owned by the Server; main thread only.
#pragma once

#include <functional>
#include <set>
#include <string>

namespace remora::server {

class UnknownFields {
 public:
  /// `count`: the counter to raise (static or dynamic).
  void report(const std::string& place, const std::function<void()>& count);
  std::string text() const;

 private:
  static constexpr size_t kMaxPlaces = 10'000;
  std::set<std::string> places_;
};

}  // namespace remora::server
