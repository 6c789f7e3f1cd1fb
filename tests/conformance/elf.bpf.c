// A program as a conformance suite's runner makes it from C: code in .text, its entry called main,
// here behind a function that it calls.
static __attribute__((noinline)) unsigned long last(const unsigned char* memory,
                                                    unsigned long size) {
  return memory[size - 1];
}

__attribute__((noinline)) unsigned long shifted(unsigned long value) { return value << 8; }

unsigned long begin(const unsigned char* memory, unsigned long size) __asm__("main");
unsigned long begin(const unsigned char* memory, unsigned long size) {
  return shifted(last(memory, size)) + memory[0];
}
