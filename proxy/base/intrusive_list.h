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
  template <class T, class Link>
  friend class IntrusiveList;
  ListLink* prev_ = nullptr;
  ListLink* next_ = nullptr;
};

/// A list of T, which derives from Link: ListLink, or a struct derived from it, one for each of the
/// lists that T may be in at once. Does not own its elements; lets go of them when it dies.
template <class T, class Link = ListLink>
class IntrusiveList {
 public:
  IntrusiveList() { head_.next_ = head_.prev_ = &head_; }
  ~IntrusiveList() {
    while (!empty()) head_.next_->unlink();
    head_.next_ = nullptr;
  }
  IntrusiveList(const IntrusiveList&) = delete;
  IntrusiveList& operator=(const IntrusiveList&) = delete;

  bool empty() const { return head_.next_ == &head_; }
  T& front() const { return of(head_.next_); }

  /// Puts `element` first or last, taking it off the list it was on.
  void push_front(T& element) { insert_behind(static_cast<Link&>(element), head_); }
  void push_back(T& element) {
    ListLink& link = static_cast<Link&>(element);
    link.unlink();
    insert_behind(link, *head_.prev_);
  }

  /// Moves everything from `other` behind what is here.
  void take_all(IntrusiveList& other) {
    while (!other.empty()) push_back(other.front());
  }

  size_t count() const {
    size_t n = 0;
    for (const ListLink* at = head_.next_; at != &head_; at = at->next_) ++n;
    return n;
  }

  /// Calls f(element) for each; f may remove the element that it is given, and no other.
  template <class F>
  void for_each(F f) const {
    for (ListLink* at = head_.next_; at != &head_;) {
      ListLink* next = at->next_;
      f(of(at));
      at = next;
    }
  }

 private:
  static T& of(ListLink* link) { return static_cast<T&>(static_cast<Link&>(*link)); }
  static void insert_behind(ListLink& link, ListLink& behind) {
    link.unlink();
    link.prev_ = &behind;
    link.next_ = behind.next_;
    behind.next_->prev_ = &link;
    behind.next_ = &link;
  }

  ListLink head_;
};

}  // namespace remora
