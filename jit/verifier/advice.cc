// The first row whose words are in the message counts, so special ones stand before general ones.
#include "jit/verifier/advice.h"

#include <algorithm>

namespace uarena::jit::verifier {
namespace {

struct Row {
  std::string_view words;
  std::string_view advice;
};

constexpr Row kAdvice[] = {
    // The arena.
    {"invalid mem access 'scalar'",
     "a number is used as an address. If it points into the arena, use it through a type with "
     "__arena, so that clang inserts the cast, or apply cast_kern() to it (clang 19 forgets the "
     "cast where it makes a memset or memcpy of assignments in a row: asm volatile(\"\" : : : "
     "\"memory\") between them helps); a NULL-able pointer must be checked on this path"},
    {"addr_space_cast insn can only be used",
     "name the arena in this program: pass the map to an arena function, use an __arena_global "
     "variable, or write uarena_uses(map)"},
    {"addr_space_cast insn can only convert",
     "only casts between address spaces 1 (__arena) and 0 exist: use __arena and no other "
     "address_space()"},
    {"Only one arena per program", "use one arena in this program and the functions that it calls"},
    {"arena's user address must be set", "give the arena an address: map_extra in its definition"},
    {"expected pointer to STRUCT bpf_map",
     "the first argument of an arena function is the address of the arena map itself: &arena"},
    {"is not a pointer to arena or scalar",
     "only arena pointers and numbers may be given here, not the address of a stack variable, a "
     "map's value or the context"},
    {"of an arena pointer", "convert the pointer to a number before shifting it"},
    {"with and without arena pointer",
     "the same statement computes with an arena pointer on one path and with a number on another: "
     "write it twice, once per kind"},
    {"same insn cannot be used with different pointers",
     "the same load or store meets two kinds of memory, depending on the path: write one for each "
     "kind"},
    // Values that may be NULL.
    {"_or_null' ", "compare the pointer with NULL first, and use it only where it is not NULL"},
    {"_or_null'", "compare the pointer with NULL first, and use it only where it is not NULL"},
    {"null-check it first",
     "compare the pointer with NULL before adding anything to it, and use it only where it is not "
     "NULL"},
    {"_or_null expected",
     "compare the pointer with NULL first, and pass it on only where it is not NULL"},
    // Bounds.
    {"invalid access to packet",
     "compare the end of what you read with data_end first: if (data + offset + size > data_end) "
     "return"},
    {"offset is outside of the packet",
     "compare the end of what you read with data_end first: if (data + offset + size > data_end) "
     "return"},
    {"unbounded min value",
     "bound the number from below as well: make it unsigned, or check that it is not negative, and "
     "bound it from above by an if or a mask"},
    {"min value is negative",
     "make the number unsigned, mask it (x &= SIZE - 1), or check that it is not negative"},
    {"unbounded memory access",
     "bound the index by an if or a mask right before its use: if (i < SIZE), or i &= SIZE - 1"},
    {"allowed memory range",
     "the index may reach outside of the object: bound it by its size less the bytes that are "
     "accessed"},
    {"invalid access to map value pointer", "the address lies behind the variable or its map"},
    {"invalid access to ",
     "the access reaches outside of the object: compare the offset with the object's size"},
    {"makes ", "keep offsets below 1 << 29: the pointer is moved far outside of its object"},
    {"variable-offset",
     "bound the index of the array on the stack by its size: if (i < SIZE), or i &= SIZE - 1"},
    {"zero-sized", "the size may be 0 here: check that it is at least 1"},
    {"is not a known constant", "write the size as a constant, such as sizeof(struct record)"},
    {"math between", "bound the number that is added to the pointer"},
    // The stack.
    {"combined stack size",
     "use less stack: all functions that call each other have 512 bytes together; keep large "
     "variables in the arena or in global ones"},
    {"call stack of", "at most 8 functions may call each other: inline some of them"},
    {"misaligned", "read and write 2, 4 and 8 bytes at addresses that are multiples of their size"},
    {"stack pointer to the caller", "return a number; a function's own variables end with it"},
    {"stack frame of the caller", "the variable ends with the function: store no pointer to it"},
    {"stack",
     "the access leaves the function's own 512 bytes of stack, or reads what no number is: "
     "look at the array's size and index"},
    {"register spill", "store pointers with 8 bytes"},
    {"register fill", "load pointers with 8 bytes"},
    {"corrupt spilled pointer", "do not overwrite part of a stored pointer"},
    // Initialisation.
    {"R0 !read_ok", "return a value on every path"},
    {"R0 not a scalar", "return a number on every path"},
    {"!read_ok",
     "the register has no value on this path: initialise the variable, and do not use arguments "
     "after a call"},
    // Addresses that must stay.
    {"leaks addr",
     "addresses of the stack, the context, maps and their values must not leave the program: "
     "store and return numbers or arena pointers"},
    {"pointer comparison prohibited",
     "compare pointers into the same object, or with NULL; addresses are not numbers here"},
    {"pointer arithmetic", "only adding and subtracting numbers is possible with pointers"},
    {"bitwise operator", "only adding and subtracting numbers is possible with pointers"},
    {"pointer += pointer", "add a number to a pointer, not a pointer"},
    {"pointer -= pointer", "subtract pointers into the same object only"},
    {"subtract pointer from scalar", "subtract the number from the pointer"},
    {"partial copy of pointer", "keep pointers in 64-bit variables"},
    {"sign-extension part of pointer", "keep pointers in 64-bit variables"},
    // Memory of special kinds.
    {"write into map forbidden", "the variable is const: make it an ordinary global one"},
    {"cannot write into", "what the pointer leads to is read-only: copy it first"},
    {"write to change key", "keys are read-only: delete the element and add another one"},
    {"cannot be accessed directly",
     "locks and timers are touched by their helpers only: access the fields beside them one by "
     "one"},
    {"ctx",
     "read the context by its fields, each with its own size, straight from the argument of "
     "the program: ctx->field"},
    {"bpf_context access",
     "read the context by its fields, each with its own size; this program type has no such field, "
     "or it may not be written"},
    {"fields cannot be read", "the map itself has no readable fields here: use its elements"},
    {"only read from bpf_arena",
     "the map itself can't be written: cast an address inside the arena"},
    {"cannot write into packet", "this program type may only read the packet"},
    {"BPF_ATOMIC ",
     "atomic operations work on map values, the stack and the arena; in the arena, "
     "and, or and xor that return the old value are not there: use a compare-and-"
     "exchange loop"},
    // Functions.
    {"program of this type cannot use helper",
     "uarena_bpf_helpers.h declares all that are offered; what needs the kernel's own data has no "
     "counterpart"},
    {"call to kernel function",
     "uarena_bpf_helpers.h declares all that are offered; where a program can do without it, call "
     "it "
     "behind if (bpf_ksym_exists(function))"},
    {"cannot pass map_type", "the helper works on another type of map"},
    {"type=", "pass what the function expects: look at its declaration"},
    {"is not a scalar", "pass a number"},
    {"Caller passes invalid args",
     "pass what the global function's parameters say; tag them __arg_arena, __arg_ctx or "
     "__arg_nonnull where that is meant"},
    {"expects pointer to ctx", "pass the program's own argument on, unchanged"},
    {"doesn't return scalar", "let global functions return int; make others static"},
    {"is not supported yet", "use a number, a pointer to a structure, or a tagged parameter"},
    {"does not point to a readonly map", "let the string be a const global array"},
    {"is not a constant address", "name one string, not one of several"},
    {"zero-terminated", "end the string with a NUL"},
    {"Invalid format string", "let the format have as many conversions as there are values"},
    {"should have been in", "return 0 to go on or 1 to stop from a callback; 0 from a timer's"},
    {"At subprogram exit", "return a number from a global function"},
    {"callback function not static", "make the callback static"},
    {"callback", "give the address of a static function"},
    {"recursive call", "functions can't call themselves: use a loop"},
    // What is held.
    {"Unreleased reference",
     "give the record or iterator back on every path: bpf_ringbuf_submit() or _discard(), "
     "bpf_iter_num_destroy() or bpf_for"},
    {"reference leak",
     "give the record or iterator back on every path: bpf_ringbuf_submit() or _discard(), "
     "bpf_iter_num_destroy() or bpf_for"},
    {"release func", "give back the pointer as it was received"},
    {"inside bpf_", "release the lock, or leave the section, on every path before this"},
    {"while holding a lock", "release the lock before the call"},
    {"two bpf_spin_locks", "hold one bpf_spin_lock at a time"},
    {"deadlock", "the lock is held already"},
    {"_unlock", "release the lock that was taken, in the opposite order, and on no path twice"},
    {"unmatched", "every enter needs one leave on every path"},
    {"out of order", "restore the flags in the opposite order of saving them"},
    {"irq flag", "save the flags into a variable of their own and restore them once"},
    {"iter", "use bpf_for, which makes, asks and destroys the iterator in the right order"},
    {"constant offset", "pass &value->lock or &value->timer of one known field"},
    {"has no valid",
     "declare the field in the map's value: struct bpf_spin_lock, struct bpf_timer"},
    {"doesn't point to 'struct",
     "pass the address of the field itself: &value->lock, &value->timer"},
    {"timer pointer in R1", "pass the map in which the timer is"},
    // Loops and size.
    {"infinite loop detected",
     "the loop has no way out: let it end by a condition, or use can_loop, cond_break or bpf_for"},
    {"jumps is too complex",
     "the program forks too often: bound loops by can_loop or bpf_for, or "
     "move parts into global functions, which are verified once"},
    {"too complex",
     "bound loops by can_loop or bpf_for, or move parts into global functions, which "
     "are verified once"},
    {"is in section", "put the program into a section that uarena knows, such as SEC(\"syscall\")"},
    // Instructions.
    {"div by zero", "divide by something else than the constant 0"},
    {"invalid shift", "shift by less than the width of the number"},
    {"has no value that an instruction can name", "look the element up: bpf_map_lookup_elem()"},
};

constexpr std::string_view kHandWritten =
    "compilers do not make this: look at instructions written by hand, or at what changed the "
    "object after it was compiled";

}  // namespace

std::string_view advice_for(std::string_view message) {
  const auto* row = std::ranges::find_if(
      kAdvice, [&](const Row& r) { return message.find(r.words) != std::string_view::npos; });
  return row == std::end(kAdvice) ? kHandWritten : row->advice;
}

}  // namespace uarena::jit::verifier
