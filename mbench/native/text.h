// Text as the server reads and writes it: JSON strings, lines.
#pragma once

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
