// What the tests of translation share: messages from YAML, and a context that remembers what was
// reported.
#pragma once

#include <gtest/gtest.h>

#include <string_view>

#include "xds/translate/fake_context.h"
#include "xds/translate/yaml_json.h"

namespace remora::xds::translate {

/// A message from YAML; what the API does not have fails the test.
template <class T>
T from_yaml(std::string_view text) {
  T out;
  const absl::Status status = text_to_message(text, Syntax::Yaml, &out, [](const Unknown& unknown) {
    ADD_FAILURE() << "test has " << unknown.path << ": " << unknown.what;
  });
  EXPECT_TRUE(status.ok()) << status;
  return out;
}

class TranslateTest : public testing::Test, protected FakeContext {};

/// One message that must be refused, and what the refusal says.
struct Refusal {
  std::string_view yaml;
  std::string_view reason;
};

}  // namespace remora::xds::translate
