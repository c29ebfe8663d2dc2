// Which processors and systems are offered the level amx.
#include "amx_support.hpp"
#include <initializer_list>

#include "check.hpp"

using reconciler::AmxRegisters;

namespace {

// As a Sapphire Rapids under Linux 6 answers.
constexpr AmxRegisters kSapphireRapids = {
    0x7FFEFBFF, 0xFFDD4432, 0x04002000, 0x00080040, 0x00000010, 0x602E7};

int asked = 0;

bool grant() {
  ++asked;
  return true;
}

bool refuse() {
  ++asked;
  return false;
}

void needs_all_of_it() {
  EXPECT(has_amx(kSapphireRapids));
  for (int bit : {17, 18}) {  // the state of shapes, and that of tiles
    AmxRegisters less = kSapphireRapids;
    less.xcr0 &= ~(std::uint64_t{1} << bit);
    EXPECT(!has_amx(less));
  }
  for (int bit : {24, 25}) {  // AMX-TILE, AMX-INT8
    AmxRegisters less = kSapphireRapids;
    less.leaf7_edx &= ~(1u << bit);
    EXPECT(!has_amx(less));
  }
  AmxRegisters less = kSapphireRapids;
  less.leaf1_ecx &= ~(1u << 27);
  EXPECT(!has_amx(less));
  // bfloat16 products are not asked for.
  less = kSapphireRapids;
  less.leaf7_edx &= ~(1u << 22);
  EXPECT(has_amx(less));
}

void refuses_other_palettes() {
  AmxRegisters other = kSapphireRapids;
  other.palette_eax = 0;
  EXPECT(!has_amx(other));
  other = kSapphireRapids;
  other.palette_ebx = 0x00040040;
  EXPECT(!has_amx(other));
  other = kSapphireRapids;
  other.palette_ebx = 0x00080020;
  EXPECT(!has_amx(other));
  other = kSapphireRapids;
  other.palette_ecx = 8;
  EXPECT(!has_amx(other));
  EXPECT(!has_amx(AmxRegisters{}));
}

void asks_only_where_there_is_something_to_ask_for() {
  AmxRegisters older = kSapphireRapids;
  older.leaf7_edx = 0;
  EXPECT(!may_use_amx(older, grant) && asked == 0);
  EXPECT(may_use_amx(kSapphireRapids, grant) && asked == 1);
  EXPECT(!may_use_amx(kSapphireRapids, refuse) && asked == 2);
}

}  // namespace

int main() {
  needs_all_of_it();
  refuses_other_palettes();
  asks_only_where_there_is_something_to_ask_for();
  return checks::result();
}
