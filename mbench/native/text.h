// Text as the server reads and writes it: JSON strings, lines, its log.
#pragma once

#include <poll.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdio>
#include <string>
#include <vector>

inline std::string Quoted(const std::string& text) {  // as a JSON string
  std::string quoted = "\"";
  char code[8];
  for (unsigned char c : text) {
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += static_cast<char>(c);
    } else if (c < 0x20 || c >= 0x7f) {
      snprintf(code, sizeof code, "\\u%04x", c);
      quoted += code;
    } else {
      quoted += static_cast<char>(c);
    }
  }
  return quoted + "\"";
}

// What another side sent, fit for one line of the log: escaped and short.
inline std::string Excerpt(const std::string& text) {
  constexpr size_t kLongest = 40;
  return Quoted(text.substr(0, kLongest)) + (text.size() > kLongest ? "..." : "");
}

inline std::vector<std::string> Lines(const std::string& text) {
  std::vector<std::string> lines;
  for (size_t start = 0; start < text.size();) {
    size_t end = text.find('\n', start);
    if (end == std::string::npos) end = text.size();
    if (end > start) lines.push_back(text.substr(start, end - start));
    start = end + 1;
  }
  return lines;
}

// Write a line to standard error, or nothing: a reader that does not read (a full pipe, Ctrl-S) must not stop the server.
__attribute__((format(printf, 1, 2))) inline void Log(const char* format, ...) {
  char line[1024] = "mbench-server: ";
  size_t used = sizeof "mbench-server: " - 1;
  va_list arguments;
  va_start(arguments, format);
  int wanted = vsnprintf(line + used, sizeof line - used - 1, format, arguments);
  va_end(arguments);
  if (wanted < 0) return;
  used += static_cast<size_t>(wanted) < sizeof line - used - 1 ? wanted : sizeof line - used - 2;
  line[used++] = '\n';
  pollfd ready{STDERR_FILENO, POLLOUT, 0};
  if (poll(&ready, 1, 0) > 0 && write(STDERR_FILENO, line, used) < 0) return;  // nobody reads it
}
