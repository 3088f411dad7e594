#include "proxy/connection_manager/header_mutation.h"

#include <gtest/gtest.h>

#include <deque>
#include <vector>

namespace remora::connection_manager {
namespace {

using Action = router::HeaderEdit::Action;

class HeaderMutationTest : public testing::Test {
 protected:
  HeaderMutationTest() : headers_(arena_) {
    info_.request_headers = &headers_;
    headers_.add(":path", "/");
    headers_.add("x-a", "1");
  }
  static HeaderMutation add(std::string name, std::string_view value,
                            Action action = Action::AppendOrAdd) {
    HeaderMutation out;
    out.id = http::header_id_of(name);
    out.name = std::move(name);
    out.value = std::make_shared<const telemetry::LogFormat>(
        *telemetry::LogFormat::text(value, telemetry::Missing::Empty));
    out.action = action;
    return out;
  }
  std::string after(std::vector<HeaderMutation> mutations) {
    kept_.push_back(std::move(mutations));
    apply(kept_.back(), info_, scratch_, headers_);
    std::string text;
    for (const http::HeaderEntry& entry : headers_.entries()) {
      if (entry.removed) continue;
      text += std::string(entry.name) + "=" + std::string(entry.value) + ";";
    }
    return text;
  }

  std::deque<std::vector<HeaderMutation>> kept_;
  BlockPool pool_;
  Arena arena_{pool_};
  http::StreamInfo info_;
  std::string scratch_;
  http::HeaderMap headers_;
};

TEST_F(HeaderMutationTest, ValuesAreMadeOfTheRequestAsItIsByThen) {
  EXPECT_EQ(after({add("x-b", "2"), add("user-agent", "%REQ(x-b)%-%REQ(x-a)%-%%")}),
            ":path=/;x-a=1;x-b=2;user-agent=2-1-%;");
}

TEST_F(HeaderMutationTest, EachActionDoesAsItsNameSays) {
  EXPECT_EQ(after({add("x-a", "2"), add("x-a", "3", Action::AddIfAbsent),
                   add("x-b", "4", Action::OverwriteIfExists)}),
            ":path=/;x-a=1;x-a=2;");
  EXPECT_EQ(after({add("x-a", "5", Action::OverwriteOrAdd), add("x-c", "6", Action::AddIfAbsent)}),
            ":path=/;x-a=5;x-c=6;");
}

TEST_F(HeaderMutationTest, WhatIsNothingIsNotAddedUnlessWanted) {
  HeaderMutation kept = add("x-kept", "");
  kept.keep_empty = true;
  EXPECT_EQ(after({add("x-none", "%REQ(nope)%"), kept}), ":path=/;x-a=1;x-kept=;");
}

TEST_F(HeaderMutationTest, NamesAreRemovedOneByOneOrByPattern) {
  headers_.add("x-pre-1", "1");
  headers_.add("x-pre-2", "2");
  HeaderMutation one, some;
  one.kind = HeaderMutation::Kind::Remove;
  one.name = "x-a";
  some.kind = HeaderMutation::Kind::RemoveMatching;
  some.names.kind = StringMatch::Kind::Prefix;
  some.names.text = "x-pre-";
  EXPECT_EQ(after({one, some}), ":path=/;");
  some.names.text = "";
  EXPECT_EQ(after({some}), ":path=/;") << "pseudo-headers stay";
}

TEST_F(HeaderMutationTest, AValueThatWouldBreakTheHeaderBlockIsLeftOut) {
  headers_.add("x-evil", "a\r\nb");
  EXPECT_EQ(after({add("x-b", "%REQ(x-evil)%")}), ":path=/;x-a=1;x-evil=a\r\nb;");
}

}  // namespace
}  // namespace remora::connection_manager
