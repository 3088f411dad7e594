// Path normalisation, held against what Envoy 1.40 forwarded for the same requests.
#include "proxy/http/path.h"

#include <gtest/gtest.h>

#include <string>

namespace remora::http {
namespace {

struct Case {
  const char* path;
  const char* expected;
};

constexpr Case kNormalized[] = {
    {"/a\"b", "/a%22b"},
    {"/a<b", "/a%3Cb"},
    {"/a>b", "/a%3Eb"},
    {"/a\\b", "/a/b"},
    {"/a^b", "/a%5Eb"},
    {"/a`b", "/a%60b"},
    {"/a{b", "/a%7Bb"},
    {"/a|b", "/a%7Cb"},
    {"/a}b", "/a%7Db"},
    {"/a!$&'()*+,;=:@[]b", "/a!$&'()*+,;=:@[]b"},
    {"/a%2db", "/a-b"},
    {"/a%2Eb", "/a.b"},
    {"/a%30b", "/a0b"},
    {"/a%41b", "/aAb"},
    {"/a%5Fb", "/a_b"},
    {"/a%7e", "/a~"},
    {"/a%2fb", "/a%2fb"},
    {"/a%5cb", "/a%5cb"},
    {"/a%c3%a9", "/a%c3%a9"},
    {"/a%20", "/a%20"},
    {"/a%3Fb", "/a%3Fb"},
    {"/a%zz", "/a%zz"},
    {"/a%", "/a%"},
    {"/a%2", "/a%2"},
    {"/%2e%2e/admin", "/admin"},
    {"/a/..%2fadmin", "/a/..%2fadmin"},
    {"/a/%2e./b", "/b"},
    {"/a/.%2E/b", "/b"},
    {"/a/./b", "/a/b"},
    {"/a/..", "/"},
    {"/a/.", "/a/"},
    {"/..", "/"},
    {"/../..", "/"},
    {"/../a", "/a"},
    {"/a//b", "/a//b"},
    {"/a//../b", "/a/b"},
    {"//a", "//a"},
    {"//..", "/"},
    {"//evil/..", "//"},
    {"/a/b/../../../c", "/c"},
    {"/a/...", "/a/..."},
    {"/a/..b", "/a/..b"},
    {"/a/b..", "/a/b.."},
    {"/a;x/../b", "/b"},
    {"/a/..;/b", "/b"},
    {"/a/..;x/b", "/b"},
    {"/a/.;/b", "/a/b"},
    {"/a/.;x", "/a/"},
    {"/a/..;", "/"},
    {"/a/..%3b/b", "/a/..%3b/b"},
    {"/a/b;p/c", "/a/b;p/c"},
    {"/a/...;/b", "/a/...;/b"},
    {"/x/..;/..;/b", "/b"},
    {"/x/;../b", "/x/;../b"},
    {"/x/..;a=b;c/..", "/"},
    {"/..;/", "/"},
    {"/x/..?;/", "/?;/"},
    {"/a/..\\b", "/b"},
    {"/a/..;\\b", "/"},
    {"/a\\..\\b", "/b"},
    {"/a?x/../y", "/a?x/../y"},
    {"/%2e", "/"},
    {"/%2e%2e", "/"},
    {"/", "/"},
    {"/?", "/?"},
    {"/a/?/..", "/a/?/.."},
    {"/A/B", "/A/B"},
    {"/a%252e", "/a%252e"},
    {"/./", "/"},
    {"/././..//", "//"},
    {"///a///b//", "///a///b//"},
    {"/a?%41\"", "/a?%41\""},
};

constexpr Case kMerged[] = {
    {"/a//b", "/a/b"},
    {"/a//../b", "/a/../b"},
    {"//a", "/a"},
    {"//..", "/.."},
    {"///a///b//", "/a/b/"},
    {"/a///?b//c", "/a/?b//c"},
    {"/a?x//y", "/a?x//y"},
    {"/", "/"},
    {"//", "/"},
};

constexpr Case kUnescaped[] = {
    {"/a%2fb", "/a/b"},     {"/a%2Fb", "/a/b"}, {"/a%5cb", "/a\\b"},  {"/a%5C..%5Cb", "/a\\..\\b"},
    {"/a?x%2f", "/a?x%2f"}, {"/a%2", "/a%2"},   {"/%252f", "/%252f"},
};

template <class Step, size_t N>
void expect_all(Step step, const Case (&cases)[N]) {
  for (const Case& c : cases) {
    BlockPool pool;
    Arena arena(pool);
    const NormalizedPath result = step(c.path, arena);
    EXPECT_TRUE(result.ok) << c.path;
    EXPECT_EQ(result.path, c.expected) << c.path;
    EXPECT_EQ(result.changed, std::string(c.path) != c.expected) << c.path;
    // What was made stays what it is: a second reader can find nothing more to change.
    if (result.ok) {
      EXPECT_FALSE(step(step(result.path, arena).path, arena).changed) << c.path;
    }
  }
}

TEST(NormalizePath, RemovesDotSegmentsAndDecodesWhatNeedsNoEscape) {
  expect_all(normalize_path, kNormalized);
}

TEST(NormalizePath, TreatsAnEscapedDotWithAParameterLikeABareOne) {
  BlockPool pool;
  Arena arena(pool);
  EXPECT_EQ(normalize_path("/a/%2e%2e;/b", arena).path, "/b");
  EXPECT_EQ(normalize_path("/x/.%2e;y/b", arena).path, "/b");
}

TEST(NormalizePath, RefusesAnEscapedNulAndWhatIsNoPath) {
  BlockPool pool;
  Arena arena(pool);
  for (const char* bad : {"/%00", "/a%00b", "/a/../%00", "", "*", "a", "?x"}) {
    EXPECT_FALSE(normalize_path(bad, arena).ok) << bad;
  }
  EXPECT_TRUE(normalize_path("/a?%00", arena).ok) << "a query is not looked at";
}

TEST(NormalizePath, AllocatesNothingForAPathThatIsNormal) {
  BlockPool pool;
  Arena arena(pool);
  const std::string path = "/api/v1/users/12345?q=%41";
  EXPECT_EQ(normalize_path(path, arena).path.data(), path.data());
  EXPECT_EQ(merge_slashes(path, arena).path.data(), path.data());
  EXPECT_EQ(unescape_slashes(path, arena).path.data(), path.data());
  EXPECT_EQ(arena.bytes_allocated(), 0u);
}

TEST(NormalizePath, NeverMakesASlashOfInvalidUtf8) {
  BlockPool pool;
  Arena arena(pool);
  EXPECT_EQ(normalize_path("/%c0%ae%c0%ae/%c0%af", arena).path, "/%c0%ae%c0%ae/%c0%af");
  EXPECT_FALSE(has_escaped_slashes("/%c0%af"));
}

TEST(MergeSlashes, LeavesOneOfSeveral) { expect_all(merge_slashes, kMerged); }

TEST(EscapedSlashes, AreFoundInThePathOnly) {
  EXPECT_TRUE(has_escaped_slashes("/a%2fb"));
  EXPECT_TRUE(has_escaped_slashes("/a%5C"));
  EXPECT_FALSE(has_escaped_slashes("/a%2"));
  EXPECT_FALSE(has_escaped_slashes("/a%252f"));
  EXPECT_FALSE(has_escaped_slashes("/a?%2f"));
}

TEST(EscapedSlashes, AreUnescaped) { expect_all(unescape_slashes, kUnescaped); }

TEST(Path, IsCutFromItsQuery) {
  EXPECT_EQ(path_without_query("/a?b?c"), "/a");
  EXPECT_EQ(path_without_query("/a"), "/a");
  EXPECT_TRUE(has_fragment("/a#b"));
  EXPECT_FALSE(has_fragment("/a"));
}

}  // namespace
}  // namespace remora::http
