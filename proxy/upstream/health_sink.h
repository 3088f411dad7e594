// Who hears from workers that a host asks to be left out (x-envoy-immediate-health-check-fail in an
// ordinary answer). Outlives all hosts.
#pragma once

#include <memory>
#include <string>

namespace remora::upstream {

class Host;

class HealthSink {
 public:
  /// Any thread.
  virtual void on_immediate_failure(const std::string& cluster,
                                    std::shared_ptr<const Host> host) = 0;

 protected:
  ~HealthSink() = default;
};

}  // namespace remora::upstream
