// SPDX-License-Identifier: MIT
#include "recording_file.hpp"

#include "recordings.hpp"
#include "recording_text.hpp"
#include "support/catch.hpp"

#include <cstdio>
#include <string>

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace leak;
using namespace leak::test;
using Step = RecordingParser::Step;

namespace {

/// A folder that is gone, with one file in it, when the test ends.
class Folder {
public:
    Folder() { REQUIRE(::mkdtemp(path_.data()) != nullptr); }
    ~Folder() {
        ::unlink(file().c_str());
        ::rmdir(path_.c_str());
    }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;

    const std::string& path() const { return path_; }
    std::string file() const { return path_ + "/small.csv"; }

    void write(std::string_view text) const {
        std::FILE* const out = std::fopen(file().c_str(), "w");
        REQUIRE(out != nullptr);
        CHECK(std::fwrite(text.data(), 1, text.size(), out) == text.size());
        std::fclose(out);
    }

private:
    std::string path_ = "/tmp/weir_recording_XXXXXX";
};

std::string error_at(const std::string& path) {
    RecordingFile file{path.c_str()};
    Sample sample;
    auto step = file.next(sample);
    while (step == Step::sample) step = file.next(sample);
    CHECK(step == Step::failed);
    CHECK(file.next(sample) == Step::failed);
    return std::string{file.error()};
}

}  // namespace

TEST_CASE("a recording's file gives its samples and then its end, for good") {
    const Folder folder;
    folder.write(small_recording());
    RecordingFile file{folder.file().c_str()};
    Sample sample;
    CHECK(file.next(sample) == Step::sample);
    CHECK(file.next(sample) == Step::sample);
    CHECK(sample.values[index_of(Signal::pressure)] == -0.273);
    CHECK(file.next(sample) == Step::end);
    CHECK(file.next(sample) == Step::end);
    CHECK(file.parser().has_labels());
}

TEST_CASE("what is no readable file is told with its name") {
    const Folder folder;
    const auto file = folder.file();
    CHECK(error_at(file) == file + ":1:1: cannot be opened: No such file or directory");
    CHECK(error_at(folder.path()) == folder.path() + ":1:1: this is a directory, a recording was expected");
    REQUIRE(::mkfifo(file.c_str(), 0600) == 0);
    CHECK(error_at(file) == file + ":1:1: this is not a regular file, a recording was expected");
    CHECK(error_at("/dev/null") ==
          "/dev/null:1:1: the file is empty, a line with the columns' names was expected");
}

TEST_CASE("a file that is bad in the middle gives the samples before it") {
    const Folder folder;
    folder.write(replaced(small_recording(), "-0.273", "abc"));
    RecordingFile file{folder.file().c_str()};
    Sample sample;
    CHECK(file.next(sample) == Step::sample);
    CHECK(file.next(sample) == Step::failed);
    CHECK(file.error() == folder.file() + ":3:5: Pressure: \"abc\" is not a number");
}

TEST_CASE("the real recordings load whole") {
    struct Expected {
        const char* name;
        std::uint64_t samples;
        bool labelled;
    };
    for (const Expected& expected :
         {Expected{"anomaly-free/anomaly-free.csv", 9'405, false}, Expected{"other/1.csv", 745, true},
          Expected{"other/3.csv", 1'137, true}, Expected{"other/12.csv", 1'048, true},
          Expected{"valve1/0.csv", 1'147, true}, Expected{"valve2/0.csv", 1'125, true}}) {
        const auto path = recording_or_skip(expected.name);
        CAPTURE(path);
        RecordingFile file{path.c_str()};
        Sample sample;
        auto step = file.next(sample);
        while (step == Step::sample) step = file.next(sample);
        CHECK(file.error() == "");
        CHECK(step == Step::end);
        CHECK(file.parser().samples_count() == expected.samples);
        CHECK(file.parser().has_labels() == expected.labelled);
    }
}
