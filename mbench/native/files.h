// Files: those of the machine that a client may read, and those that it uploads into the folder of its session.
#pragma once

#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <tvm/ffi/string.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>
#include <map>
#include <stdexcept>
#include <string>

#include "text.h"

namespace ffi = tvm::ffi;

namespace {

constexpr size_t kLongestText = 64 << 10, kLongestFiles = 16 << 20;  // bytes: of a file that is read, of an answer
constexpr size_t kMostPatterns = 1000, kMostFound = 10000, kLongestPattern = 300, kMostStars = 2;
constexpr size_t kLongestName = 128, kMostUploads = 1000;

// ------------------------------------------------------------------------------------------------- files of the machine
// Return whether a file may be read, by its path without links: what describes the machine and this process, and its
// sensors. All else below /proc describes other processes, or leads elsewhere.
bool MayBeRead(const std::string& real) {
  static const char* const kFiles[] = {"/etc/os-release", "/usr/lib/os-release", "/proc/cpuinfo", "/proc/loadavg",
                                       "/proc/meminfo", "/proc/stat", "/proc/uptime", "/proc/sys/kernel/hostname",
                                       "/proc/sys/kernel/osrelease"};
  for (const char* file : kFiles) {
    if (real == file) return true;
  }
  for (const char* folder : {"/sys/devices/", "/sys/firmware/devicetree/"}) {
    if (real.rfind(folder, 0) == 0) return true;
  }
  std::string self = "/proc/" + std::to_string(getpid());
  return real == self + "/status" || real == self + "/stat";
}

// The path without links of a file that may be read, "" if it may not or is not there.
std::string Readable(const std::string& path) {
  if (path.empty() || path[0] != '/' || path.find('\0') != std::string::npos) return "";
  char* found = realpath(path.c_str(), nullptr);
  std::string real = found ? found : "";
  free(found);
  return MayBeRead(real) ? real : "";
}

bool ReadText(const std::string& real, std::string* text) {
  text->clear();
  int file = open(real.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
  if (file < 0) return false;
  struct stat about {};
  char part[4096];
  ssize_t got = fstat(file, &about) == 0 && S_ISREG(about.st_mode) ? 1 : -1;
  while (got > 0 && text->size() < kLongestText && (got = read(file, part, sizeof part)) > 0) text->append(part, got);
  close(file);
  return got >= 0;
}

ffi::String Files(ffi::String patterns) {
  std::string answer = "{", text;
  size_t asked = 0;
  for (const std::string& pattern : Lines(patterns)) {
    size_t stars = std::count(pattern.begin(), pattern.end(), '*');
    if (++asked > kMostPatterns || pattern[0] != '/' || pattern.size() > kLongestPattern || stars > kMostStars) continue;
    glob_t found;
    if (glob(pattern.c_str(), 0, nullptr, &found) != 0) continue;
    for (size_t i = 0; i < found.gl_pathc && i < kMostFound && answer.size() < kLongestFiles; ++i) {
      std::string real = Readable(found.gl_pathv[i]);
      if (real.empty() || !ReadText(real, &text)) continue;
      answer += (answer.size() > 1 ? "," : "") + Quoted(found.gl_pathv[i]) + ":" + Quoted(text);
    }
    globfree(&found);
  }
  return answer + "}";
}

// ---------------------------------------------------------------------------------------------------- files of a session
std::string folder;        // of the session that is served
std::string folder_wrong;  // why it could not be made, "" if well
int64_t most_upload_bytes = int64_t{1} << 30;
std::map<std::string, int64_t> uploads;  // bytes by name

bool MakeFolder(const std::string& parent) {
  folder = parent + "/mbench-server-XXXXXX";
  folder_wrong = mkdtemp(&folder[0]) ? "" : strerror(errno);
  return folder_wrong.empty();
}

int Remove(const char* path, const struct stat*, int, struct FTW*) {
  remove(path);
  return 0;
}

void RemoveFolder() {  // with all that lies in it, whatever its name; links are removed, not followed
  if (folder_wrong.empty()) nftw(folder.c_str(), Remove, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

// What is wrong with the name of a file that is uploaded or loaded, "" if nothing.
std::string WrongName(const std::string& name) {
  bool plain = std::none_of(name.begin(), name.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f || c == '/'; });
  if (plain && !name.empty() && name.size() <= kLongestName && name[0] != '.') return "";
  return "the name " + Excerpt(name) + " is refused; expected 1 to " + std::to_string(kLongestName) +
         " bytes, no slash, no control character, and no dot at the beginning";
}

std::string InFolder(const std::string& name) {
  std::string wrong = WrongName(name);
  if (!wrong.empty()) throw std::invalid_argument(wrong);
  return folder + "/" + name;
}

std::string WrongUpload(const std::string& name, int64_t offset, int64_t size) {
  std::string wrong = folder_wrong.empty() ? WrongName(name) : folder_wrong;
  if (!wrong.empty()) return wrong;
  auto known = uploads.find(name);
  int64_t there = known == uploads.end() ? 0 : known->second, total = size + offset - there;
  if (offset != 0 && offset != there) return "the piece begins at byte " + std::to_string(offset) + " of " + std::to_string(there);
  for (const auto& upload : uploads) total += upload.second;
  if (known == uploads.end() && uploads.size() >= kMostUploads) return "the session has " + std::to_string(kMostUploads) + " files";
  if (total <= most_upload_bytes) return "";
  return "a session may upload " + std::to_string(most_upload_bytes >> 20) + " MiB; start the server with a larger --max-upload";
}

ffi::String Append(ffi::String name, ffi::Bytes bytes, int64_t offset) {
  std::string wrong = WrongUpload(name, offset, static_cast<int64_t>(bytes.size()));
  if (!wrong.empty()) return wrong;
  int file = open(InFolder(name).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | (offset ? 0 : O_TRUNC), 0600);
  if (file < 0) return strerror(errno);
  uploads[name] = offset;
  size_t done = 0;
  while (wrong.empty() && done < bytes.size()) {
    ssize_t wrote = pwrite(file, bytes.data() + done, bytes.size() - done, offset + static_cast<int64_t>(done));
    if (wrote < 0 && errno != EINTR) wrong = strerror(errno);
    if (wrote > 0) done += wrote;
  }
  uploads[name] += static_cast<int64_t>(done);
  if (close(file) != 0 && wrong.empty()) wrong = strerror(errno);
  return wrong;
}

}  // namespace
