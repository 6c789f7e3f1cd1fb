// Runs the emitter until jump sizes are settled. The first pass gives every forward jump 32 bits;
// where its layout shows that 8 will do, the second pass uses 8. Code only gets shorter from pass
// to pass, so what was in reach stays in reach.
#include "jit/x86_64/compiler.h"

#include <xbyak/xbyak_util.h>

#include <random>
#include <utility>

#include "jit/x86_64/emitter.h"

namespace uarena::jit::x86_64 {
namespace {

constexpr int kPasses = 3;  // the third collects jumps that came into reach by the second

}  // namespace

Features Features::of_this_cpu() {
  const Xbyak::util::Cpu cpu;
  return {.bmi2 = cpu.has(Xbyak::util::Cpu::tBMI2)};
}

BlindingKey new_blinding_key() {
  std::random_device device;  // the kernel's numbers
  return (uint64_t{device()} << 32 | device()) | 1;
}

Result<CompiledCode> compile(const FixedProgram& program, const Features& features,
                             BlindingKey blinding) {
  try {
    std::vector<bool> short_jumps(program.insns().size(), false);
    for (int pass = 1;; ++pass) {
      Emitter emitter(program, features, blinding, short_jumps);
      emitter.emit_program();
      if (pass == kPasses) return emitter.result();
      emitter.find_short_jumps(&short_jumps);
    }
  } catch (const Xbyak::Error& error) {
    UARENA_ASSERT(static_cast<int>(error) == Xbyak::ERR_CANT_ALLOC, "program {}: emitter: {}",
                  program.name(), error.what());
    return fail(ENOMEM, "no memory to compile program {}", program.name());
  }
}

}  // namespace uarena::jit::x86_64
