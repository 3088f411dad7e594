// How the managers on the main thread reach the workers. Implemented by the Server; main thread
// only.
#pragma once

#include <cstddef>

#include "proxy/server/config_update.h"

namespace remora::server {

class Publisher {
 public:
  virtual size_t workers() const = 0;
  virtual void post(size_t worker, ConfigUpdate update) = 0;

  /// The same change for every worker; `make(i)` builds worker i's message.
  template <class Make>
  void post_all(Make make) {
    for (size_t i = 0; i < workers(); ++i) post(i, make(i));
  }

 protected:
  ~Publisher() = default;
};

}  // namespace remora::server
