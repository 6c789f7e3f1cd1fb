// Formatted text: into a buffer of the program's, onto one of its streams, or as a line of its log
// (trace_log.h), where the kernel has its trace pipe.
#include <array>
#include <cstring>

#include "jit/helpers/format.h"
#include "jit/helpers/functions.h"
#include "jit/helpers/program_memory.h"
#include "jit/trace_log.h"

namespace uarena::jit::helpers {
namespace {

constexpr size_t kLineBytes = 1024;  // BPF_TRACE_PRINTK_SIZE

uint64_t trace(uint64_t fmt, uint64_t fmt_size, std::span<const Handed> arguments,
               RunContext* run) {
  const auto* text = pointer<const char>(fmt);
  const size_t length = ::strnlen(text, fmt_size);
  if (length == fmt_size) return result(-EINVAL);  // no NUL
  std::array<char, kLineBytes> line;
  const int64_t formatted = format_text(line, {text, length}, arguments, run);
  if (formatted >= 0 && run->log != nullptr) run->log->add(line.data());
  return result(formatted);
}

// The values of a data argument.
class Data {
 public:
  Data(uint64_t data, uint64_t bytes, const RunContext* run) : count_(bytes / 8) {
    for (size_t n = 0; n < count_; ++n)
      values_[n] = handed_word(run, n, pointer<const uint64_t>(data)[n]);
  }
  std::span<const Handed> values() const { return {values_.data(), count_}; }

 private:
  std::array<Handed, kMaxFormatArguments> values_;
  size_t count_;
};

bool bad_data(uint64_t data, uint64_t data_len) {
  return data_len % 8 != 0 || data_len > kMaxFormatArguments * 8 || (data_len != 0 && data == 0);
}

}  // namespace

// long bpf_trace_printk(const char *fmt, u32 fmt_size, ...)
uint64_t trace_printk(uint64_t fmt, uint64_t fmt_size, uint64_t a, uint64_t b, uint64_t c,
                      RunContext* run) {
  const Handed arguments[] = {handed_argument(run, 3, a), handed_argument(run, 4, b),
                              handed_argument(run, 5, c)};
  return trace(fmt, fmt_size, arguments, run);
}

// long bpf_trace_vprintk(const char *fmt, u32 fmt_size, const void *data, u32 data_len)
uint64_t trace_vprintk(uint64_t fmt, uint64_t fmt_size, uint64_t data, uint64_t data_len, uint64_t,
                       RunContext* run) {
  if (bad_data(data, data_len)) return result(-EINVAL);
  return trace(fmt, fmt_size, Data(data, data_len, run).values(), run);
}

// long bpf_snprintf(char *str, u32 str_size, const char *fmt, u64 *data, u32 data_len): the length
// of the whole text with its NUL.
uint64_t snprintf(uint64_t str, uint64_t str_size, uint64_t fmt, uint64_t data, uint64_t data_len,
                  RunContext* run) {
  if (bad_data(data, data_len)) return result(-EINVAL);
  const int64_t length = format_text({pointer<char>(str), str_size}, pointer<const char>(fmt),
                                     Data(data, data_len, run).values(), run);
  return result(length < 0 ? length : length + 1);
}

// int bpf_stream_vprintk(int stream_id, const char *fmt, const void *args, u32 len): text onto the
// program's stdout (1) or stderr (2).
uint64_t stream_vprintk(uint64_t stream_id, uint64_t fmt, uint64_t data, uint64_t data_len,
                        uint64_t, RunContext* run) {
  const auto id = static_cast<uint32_t>(stream_id);
  if (id != 1 && id != 2) return result(-ENOENT);
  if (bad_data(data, data_len)) return result(-EINVAL);
  std::array<char, kLineBytes> text;
  const int64_t length =
      format_text(text, pointer<const char>(fmt), Data(data, data_len, run).values(), run);
  if (length < 0) return result(length);
  if (TraceLog* const stream = id == 1 ? run->out : run->err; stream != nullptr)
    stream->write(text.data());
  return 0;
}

}  // namespace uarena::jit::helpers
