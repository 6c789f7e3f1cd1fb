// An Output whose two streams end in strings.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>

#include "tools/uarena/render.h"

namespace uarena::cli {

// A stdio stream into memory.
class CapturedStream {
 public:
  CapturedStream() : file_(::open_memstream(&text_, &size_)) {}
  CapturedStream(const CapturedStream&) = delete;
  CapturedStream& operator=(const CapturedStream&) = delete;
  ~CapturedStream() {
    std::fclose(file_);
    std::free(text_);
  }
  std::FILE* file() { return file_; }
  std::string text() {
    std::fflush(file_);
    return std::string(text_, size_);
  }

 private:
  char* text_ = nullptr;
  size_t size_ = 0;
  std::FILE* file_;
};

struct CapturedOutput {
  explicit CapturedOutput(Style style = {}) : output(out.file(), err.file(), style) {}
  CapturedStream out, err;
  Output output;
};

}  // namespace uarena::cli
