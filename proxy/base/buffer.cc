// Slices of pooled blocks; see the header for what copies and what shares. Owning worker's thread
// only.
#include "proxy/base/buffer.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <utility>

namespace remora {

const size_t Buffer::kMaxReserve = Block::kBytes - sizeof(Block);

Buffer::Buffer(Buffer&& other) noexcept
    : pool_(other.pool_),
      size_(std::exchange(other.size_, 0)),
      head_(std::exchange(other.head_, 0)),
      spare_(std::move(other.spare_)),
      slices_(std::move(other.slices_)) {
  other.slices_.clear();
}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  if (this == &other) return *this;
  pool_ = other.pool_;
  size_ = std::exchange(other.size_, 0);
  head_ = std::exchange(other.head_, 0);
  spare_ = std::move(other.spare_);
  slices_ = std::move(other.slices_);
  other.slices_.clear();
  return *this;
}

size_t Buffer::tail_room() const {
  if (size_ == 0) return 0;
  const Slice& tail = slices_.back();
  return tail.end == tail.block->used ? tail.block->capacity - tail.end : 0;
}

void Buffer::push_slice(BlockRef block, uint32_t begin, uint32_t end) {
  size_ += end - begin;
  if (head_ < slices_.size()) {
    Slice& tail = slices_.back();
    if (tail.block.get() == block.get() && tail.end == begin) {
      tail.end = end;
      return;
    }
  }
  slices_.push_back(Slice{std::move(block), begin, end});
}

std::span<char> Buffer::reserve(size_t min_bytes) {
  assert(min_bytes <= kMaxReserve);
  release_reservation();
  const size_t room = tail_room();
  if (room > 0 && room >= min_bytes) {
    Slice& tail = slices_.back();
    return {tail.block->data() + tail.end, room};
  }
  spare_ = pool_->take();
  return {spare_->data(), spare_->capacity};
}

void Buffer::commit(size_t bytes) {
  if (bytes == 0) {
    release_reservation();
    return;
  }
  if (spare_) {
    assert(bytes <= spare_->capacity);
    spare_->used = static_cast<uint32_t>(bytes);
    push_slice(std::move(spare_), 0, static_cast<uint32_t>(bytes));
    return;
  }
  assert(bytes <= tail_room());
  Slice& tail = slices_.back();
  tail.end += static_cast<uint32_t>(bytes);
  tail.block->used = tail.end;
  size_ += bytes;
}

void Buffer::append(std::string_view bytes) {
  while (!bytes.empty()) {
    std::span<char> room = reserve(1);
    const size_t count = std::min(room.size(), bytes.size());
    std::memcpy(room.data(), bytes.data(), count);
    commit(count);
    bytes.remove_prefix(count);
  }
}

void Buffer::append(Buffer& other, size_t bytes) {
  assert(bytes <= other.size_ && &other != this);
  release_reservation();
  other.release_reservation();
  if (bytes < kCopyBelow && bytes <= tail_room()) {
    while (bytes > 0) {
      const std::string_view piece = other.front().substr(0, bytes);
      append(piece);
      bytes -= piece.size();
      other.consume(piece.size());
    }
    return;
  }
  while (bytes > 0) {
    Slice& slice = other.slices_[other.head_];
    const uint32_t available = slice.end - slice.begin;
    if (bytes < available) {
      const auto count = static_cast<uint32_t>(bytes);
      push_slice(slice.block, slice.begin, slice.begin + count);
      slice.begin += count;
      other.size_ -= count;
      return;
    }
    push_slice(std::move(slice.block), slice.begin, slice.end);
    bytes -= available;
    other.size_ -= available;
    other.drop_head();
  }
}

void Buffer::append_shared(const BlockRef& block, std::string_view bytes_in_block) {
  if (bytes_in_block.empty()) return;
  release_reservation();
  const auto begin = static_cast<uint32_t>(bytes_in_block.data() - block.get()->data());
  const auto end = begin + static_cast<uint32_t>(bytes_in_block.size());
  assert(end <= block->capacity);
  push_slice(block, begin, end);
}

std::string_view Buffer::front() const {
  if (size_ == 0) return {};
  const Slice& slice = slices_[head_];
  return {slice.block->data() + slice.begin, slice.end - slice.begin};
}

BlockRef Buffer::front_block() const { return size_ == 0 ? BlockRef() : slices_[head_].block; }

void Buffer::drop_head() {
  slices_[head_].block = BlockRef();
  ++head_;
  if (head_ == slices_.size()) {
    slices_.clear();
    head_ = 0;
  } else if (head_ >= 8 && size_t{head_} * 2 >= slices_.size()) {
    slices_.erase(slices_.begin(), slices_.begin() + static_cast<ptrdiff_t>(head_));
    head_ = 0;
  }
}

void Buffer::consume(size_t bytes) {
  assert(bytes <= size_);
  release_reservation();
  size_ -= bytes;
  while (bytes > 0) {
    Slice& slice = slices_[head_];
    const uint32_t available = slice.end - slice.begin;
    if (bytes < available) {
      slice.begin += static_cast<uint32_t>(bytes);
      return;
    }
    bytes -= available;
    drop_head();
  }
}

int Buffer::gather(iovec* out, int max) const {
  int count = 0;
  for (size_t i = head_; i < slices_.size() && count < max; ++i, ++count) {
    const Slice& slice = slices_[i];
    out[count] = {slice.block->data() + slice.begin, slice.end - slice.begin};
  }
  return count;
}

std::string_view Buffer::linearize(size_t bytes) {
  assert(bytes <= size_ && bytes <= kMaxReserve);
  if (front().size() >= bytes) return front().substr(0, bytes);
  BlockRef whole = pool_->take();
  copy_out(0, bytes, whole->data());
  whole->used = static_cast<uint32_t>(bytes);
  const auto end = static_cast<uint32_t>(bytes);
  consume(bytes);
  size_ += bytes;
  if (head_ > 0) {
    slices_[--head_] = Slice{std::move(whole), 0, end};
  } else {
    slices_.insert(slices_.begin(), Slice{std::move(whole), 0, end});
  }
  return front().substr(0, bytes);
}

void Buffer::copy_out(size_t offset, size_t bytes, char* out) const {
  assert(offset + bytes <= size_);
  for (size_t i = head_; bytes > 0; ++i) {
    const Slice& slice = slices_[i];
    const size_t length = slice.end - slice.begin;
    if (offset >= length) {
      offset -= length;
      continue;
    }
    const size_t count = std::min(bytes, length - offset);
    std::memcpy(out, slice.block->data() + slice.begin + offset, count);
    out += count;
    bytes -= count;
    offset = 0;
  }
}

std::string Buffer::to_string() const {
  std::string text(size_, '\0');
  copy_out(0, size_, text.data());
  return text;
}

}  // namespace remora
