// A worker's reference to an immutable value that all workers share. Streams take and drop
// references with a plain count; the shared_ptr's atomic one is touched only when a worker's value
// is replaced. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

namespace remora {

template <class T>
class Snapshot {
 public:
  Snapshot() = default;
  explicit Snapshot(std::shared_ptr<const T> value) {
    if (value) box_ = new Box{std::move(value), 1};
  }
  Snapshot(const Snapshot& other) : box_(other.box_) {
    if (box_) ++box_->references;
  }
  Snapshot(Snapshot&& other) noexcept : box_(std::exchange(other.box_, nullptr)) {}
  Snapshot& operator=(Snapshot other) noexcept {
    std::swap(box_, other.box_);
    return *this;
  }
  ~Snapshot() {
    if (box_ && --box_->references == 0) delete box_;
  }

  const T* get() const { return box_ ? box_->value.get() : nullptr; }
  const T* operator->() const { return get(); }
  explicit operator bool() const { return box_ != nullptr; }

 private:
  struct Box {
    std::shared_ptr<const T> value;
    uint32_t references;
  };
  Box* box_ = nullptr;
};

}  // namespace remora
