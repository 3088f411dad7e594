// A part of a configuration that few have: a pointer in its owner, null until something of it is
// set, that reads as a T with nothing set. Copies share what they point to and never see each
// other's changes.
#pragma once

#include <memory>

namespace remora {

template <class T>
class Rare {
 public:
  const T& operator*() const { return value_ != nullptr ? *value_ : nothing(); }
  const T* operator->() const { return &**this; }
  /// To set something of it.
  T& edit() {
    if (value_ == nullptr) {
      value_ = std::make_shared<T>();
    } else if (value_.use_count() > 1) {
      value_ = std::make_shared<T>(*value_);
    }
    return *value_;
  }

 private:
  static const T& nothing() {
    static const T kNothing;
    return kNothing;
  }

  std::shared_ptr<T> value_;
};

}  // namespace remora
