// Lists through their elements.
#include "proxy/base/intrusive_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <vector>

namespace remora {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

struct Item : ListLink {
  explicit Item(int value) : value(value) {}
  int value;
};

std::vector<int> values(const IntrusiveList<Item>& list) {
  std::vector<int> result;
  list.for_each([&](Item& item) { result.push_back(item.value); });
  return result;
}

TEST(IntrusiveList, KeepsOrderFromBothEnds) {
  IntrusiveList<Item> list;
  Item one(1), two(2), three(3);
  list.push_back(two);
  list.push_back(three);
  list.push_front(one);
  EXPECT_THAT(values(list), ElementsAre(1, 2, 3));
  EXPECT_EQ(list.count(), 3u);
  EXPECT_EQ(list.front().value, 1);
}

TEST(IntrusiveList, MovingWithinAListKeepsItWhole) {
  IntrusiveList<Item> list;
  Item one(1), two(2);
  list.push_back(one);
  list.push_front(one);
  list.push_back(one);
  EXPECT_THAT(values(list), ElementsAre(1));
  list.push_back(two);
  list.push_front(two);
  list.push_back(two);
  EXPECT_THAT(values(list), ElementsAre(1, 2));
}

TEST(IntrusiveList, AnElementLeavesByItself) {
  IntrusiveList<Item> list, other;
  Item one(1);
  list.push_back(one);
  {
    Item two(2);
    list.push_back(two);
  }
  EXPECT_THAT(values(list), ElementsAre(1));
  other.push_back(one);
  EXPECT_TRUE(list.empty());
  one.unlink();
  one.unlink();
  EXPECT_FALSE(one.linked());
  EXPECT_TRUE(other.empty());
}

TEST(IntrusiveList, TakesAllOfAnother) {
  IntrusiveList<Item> list, other;
  Item one(1), two(2), three(3);
  list.push_back(one);
  other.push_back(two);
  other.push_back(three);
  list.take_all(other);
  EXPECT_THAT(values(list), ElementsAre(1, 2, 3));
  EXPECT_THAT(values(other), IsEmpty());
}

TEST(IntrusiveList, AnElementMayBeInSeveralListsAtOnce) {
  struct Red : ListLink {};
  struct Blue : ListLink {};
  struct Ball : Red, Blue {};
  IntrusiveList<Ball, Red> red;
  IntrusiveList<Ball, Blue> blue;
  Ball one, two;
  red.push_back(one);
  blue.push_back(two);
  blue.push_back(one);
  EXPECT_EQ(&red.front(), &one);
  EXPECT_EQ(&blue.front(), &two);
  one.Red::unlink();
  EXPECT_TRUE(red.empty());
  EXPECT_EQ(blue.count(), 2u);
  EXPECT_TRUE(one.Blue::linked());
}

TEST(IntrusiveList, ElementsOutliveTheirList) {
  Item one(1);
  {
    IntrusiveList<Item> list;
    list.push_back(one);
  }
  EXPECT_FALSE(one.linked());
}

TEST(IntrusiveList, ForEachMayRemoveWhatItIsGiven) {
  IntrusiveList<Item> list;
  Item one(1), two(2), three(3);
  for (Item* item : {&one, &two, &three}) list.push_back(*item);
  list.for_each([](Item& item) {
    if (item.value != 2) item.unlink();
  });
  EXPECT_THAT(values(list), ElementsAre(2));
}

}  // namespace
}  // namespace remora
