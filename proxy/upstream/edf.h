// Earliest deadline first: visits entries in proportion to their weights, in an order that spreads
// each as evenly as it can. A binary heap that allocates only while it is filled. Owned by a
// balancer; one thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace remora::upstream {

class EdfQueue {
 public:
  void reserve(size_t entries) { heap_.reserve(entries); }
  bool empty() const { return heap_.empty(); }

  void add(double weight, uint32_t index) {
    heap_.push_back({now_ + 1.0 / weight, order_++, index});
    std::push_heap(heap_.begin(), heap_.end(), Later());
  }

  /// The entry that is due; it is due again in proportion to `weight_of(index)`, asked now. Not on
  /// an empty queue.
  template <class WeightOf>
  uint32_t next(WeightOf weight_of) {
    std::pop_heap(heap_.begin(), heap_.end(), Later());
    Entry& due = heap_.back();
    now_ = due.deadline;
    due.deadline = now_ + 1.0 / weight_of(due.index);
    due.order = order_++;
    const uint32_t index = due.index;
    std::push_heap(heap_.begin(), heap_.end(), Later());
    return index;
  }

 private:
  struct Entry {
    double deadline;
    uint64_t order;  // equal deadlines: first come, first served
    uint32_t index;
  };
  struct Later {
    bool operator()(const Entry& a, const Entry& b) const {
      return a.deadline != b.deadline ? a.deadline > b.deadline : a.order > b.order;
    }
  };

  double now_ = 0;
  uint64_t order_ = 0;
  std::vector<Entry> heap_;
};

}  // namespace remora::upstream
