// A doubly linked list through its elements: no allocation, and an element leaves its list by
// itself. One thread.
#pragma once

#include <cstddef>

namespace remora {

/// Base of a list element. Destruction leaves the list.
class ListLink {
 public:
  ListLink() = default;
  ~ListLink() { unlink(); }
  ListLink(const ListLink&) = delete;
  ListLink& operator=(const ListLink&) = delete;

  bool linked() const { return next_ != nullptr; }
  void unlink() {
    if (next_ == nullptr) return;
    prev_->next_ = next_;
    next_->prev_ = prev_;
    next_ = prev_ = nullptr;
  }

 private:
  template <class T>
  friend class IntrusiveList;
  ListLink* prev_ = nullptr;
  ListLink* next_ = nullptr;
};

/// A list of T, which derives from ListLink. Does not own its elements; lets go of them when it
/// dies.
template <class T>
class IntrusiveList {
 public:
  IntrusiveList() { head_.next_ = head_.prev_ = &head_; }
  ~IntrusiveList() {
    while (!empty()) front().unlink();
    head_.next_ = nullptr;
  }
  IntrusiveList(const IntrusiveList&) = delete;
  IntrusiveList& operator=(const IntrusiveList&) = delete;

  bool empty() const { return head_.next_ == &head_; }
  T& front() const { return static_cast<T&>(*head_.next_); }

  void push_back(T& element) {
    ListLink& link = element;
    link.unlink();
    link.prev_ = head_.prev_;
    link.next_ = &head_;
    head_.prev_->next_ = &link;
    head_.prev_ = &link;
  }

  /// Calls f(element) for each; f may remove the element that it is given, and no other.
  template <class F>
  void for_each(F f) const {
    for (ListLink* at = head_.next_; at != &head_;) {
      ListLink* next = at->next_;
      f(static_cast<T&>(*at));
      at = next;
    }
  }

 private:
  ListLink head_;
};

}  // namespace remora
