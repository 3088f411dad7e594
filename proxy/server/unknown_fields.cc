#include "proxy/server/unknown_fields.h"

#include "proxy/base/log.h"

namespace remora::server {

void UnknownFields::report(const std::string& place, const std::function<void()>& count) {
  count();
  if (places_.size() >= kMaxPlaces || !places_.insert(place).second) return;
  LOG_WARNING(config, "accepted without effect: {}", place);
}

std::string UnknownFields::text() const {
  std::string out;
  for (const std::string& place : places_) out += place + "\n";
  return out;
}

}  // namespace remora::server
