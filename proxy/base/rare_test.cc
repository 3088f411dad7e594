#include "proxy/base/rare.h"

#include <gtest/gtest.h>

#include <string>

namespace remora {
namespace {

struct Part {
  std::string text;
  int number = 7;
};

TEST(Rare, ReadsAsNothingSetUntilEdited) {
  Rare<Part> rare;
  EXPECT_EQ(rare->number, 7);
  EXPECT_EQ((*rare).text, "");
  rare.edit().text = "a";
  rare.edit().number = 1;
  EXPECT_EQ(rare->text, "a");
  EXPECT_EQ(rare->number, 1);
  EXPECT_EQ(Rare<Part>()->number, 7);
}

TEST(Rare, CopiesShareUntilOneIsEdited) {
  Rare<Part> first;
  first.edit().text = "a";
  Rare<Part> second = first;
  EXPECT_EQ(&*first, &*second);
  second.edit().text = "b";
  EXPECT_EQ(first->text, "a");
  EXPECT_EQ(second->text, "b");
  EXPECT_EQ(second->number, 7);
}

}  // namespace
}  // namespace remora
