// Lookup of well-known header names: a hash of length, first, middle and last bytes that is perfect
// over the table. The seed that makes it so is found while compiling, so names can be appended
// freely. Constant data; any thread.
#include "proxy/http/header_id.h"

#include <array>
#include <bit>
#include <cstring>
#include <type_traits>

namespace remora::http {
namespace {

constexpr std::array<std::string_view, kHeaderIds> kNames = {std::string_view(),
#define X(id, name) std::string_view(name),
                                                             REMORA_HEADER_IDS(X)
#undef X
};

static_assert(kHeaderIds <= 256, "HeaderId is one byte");

constexpr int kTableBits = 11;
constexpr size_t kSlots = size_t{1} << kTableBits;

template <class Word>
constexpr Word load(const char* at) {
  if (std::is_constant_evaluated()) {
    Word word = 0;
    for (size_t i = 0; i < sizeof(Word); ++i) {
      word |= static_cast<Word>(static_cast<unsigned char>(at[i])) << (8 * i);
    }
    return word;
  }
  Word word;
  std::memcpy(&word, at, sizeof(word));
  if constexpr (std::endian::native == std::endian::big) {
    return sizeof(Word) == 8 ? __builtin_bswap64(word) : __builtin_bswap32(word);
  }
  return word;
}

constexpr size_t slot_of(std::string_view name, uint64_t seed) {
  const size_t length = name.size();
  uint64_t head = 0;
  uint64_t tail = 0;
  if (length >= 8) {
    head = load<uint64_t>(name.data());
    tail = load<uint64_t>(name.data() + length - 8);
    // Long names share beginnings and ends ("x-envoy-...-rq-timeout-ms").
    if (length > 16) head ^= std::rotl(load<uint64_t>(name.data() + length / 2 - 4), 13);
  } else if (length >= 4) {
    head = load<uint32_t>(name.data());
    tail = load<uint32_t>(name.data() + length - 4);
  } else if (length > 0) {
    head = static_cast<unsigned char>(name[0]);
    tail = static_cast<unsigned char>(name[length - 1]);
  }
  const uint64_t mixed = (head ^ std::rotl(tail, 29) ^ (uint64_t{length} << 56)) * seed;
  return static_cast<size_t>(mixed >> (64 - kTableBits));
}

constexpr bool is_perfect(uint64_t seed) {
  std::array<bool, kSlots> taken{};
  for (size_t id = 1; id < kHeaderIds; ++id) {
    bool& slot = taken[slot_of(kNames[id], seed)];
    if (slot) return false;
    slot = true;
  }
  return true;
}

constexpr uint64_t find_seed() {
  uint64_t seed = 0x9e3779b97f4a7c15;
  while (!is_perfect(seed)) seed = seed * 6364136223846793005 + 1442695040888963407;
  return seed;
}

constexpr uint64_t kSeed = find_seed();

constexpr std::array<uint8_t, kSlots> kTable = [] {
  std::array<uint8_t, kSlots> table{};
  for (size_t id = 1; id < kHeaderIds; ++id) {
    table[slot_of(kNames[id], kSeed)] = static_cast<uint8_t>(id);
  }
  return table;
}();

}  // namespace

HeaderId header_id_of(std::string_view lower_case_name) {
  const uint8_t candidate = kTable[slot_of(lower_case_name, kSeed)];
  // An empty slot names id 0, whose name is empty.
  const std::string_view name = kNames[candidate];
  return name == lower_case_name ? static_cast<HeaderId>(candidate) : HeaderId::Other;
}

std::string_view header_name(HeaderId id) { return kNames[static_cast<size_t>(id)]; }

}  // namespace remora::http
