#include "proxy/net/machine_address.h"

#include <gtest/gtest.h>

namespace remora {
namespace {

TEST(MachineAddressTest, IsAnAddressOfTheFamilyThatWasAsked) {
  EXPECT_EQ(machine_address(Address::Family::V4).family(), Address::Family::V4);
  EXPECT_EQ(machine_address(Address::Family::V6).family(), Address::Family::V6);
  EXPECT_EQ(machine_address(Address::Family::V4).port(), 0);
}

}  // namespace
}  // namespace remora
