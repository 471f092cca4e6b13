// SPDX-License-Identifier: MIT
#include "settings.hpp"

#include "support/catch.hpp"
#include "system.hpp"

#include <string>

using namespace leak;
using namespace leak::test;

namespace {

std::string error_in(const Folder& folder, std::string_view text) {
    Settings settings{.threshold = 7.0, .clients = 7};
    const auto path = folder.write("settings", text);
    const auto error = read_settings(path.c_str(), settings);
    CHECK((error.empty() || settings == Settings{.threshold = 7.0, .clients = 7}));
    return std::string{error.view()}.substr(error.empty() ? 0 : path.size());
}

}  // namespace

TEST_CASE("settings are lines; what is not named stays") {
    const Folder folder;
    Settings settings{.threshold = 7.0, .clients = {}};
    CHECK(read_settings(folder.write("a", "# threshold 1\n\n  clients\t16  \r\n").c_str(), settings).view() ==
          "");
    CHECK(settings == Settings{.threshold = 7.0, .clients = 16});
    CHECK(read_settings(folder.write("b", "threshold 2.5").c_str(), settings).view() == "");
    CHECK(settings == Settings{.threshold = 2.5, .clients = 16});
}

TEST_CASE("a wrong setting is told with file and line, and changes nothing") {
    const Folder folder;
    CHECK(error_in(folder, "clients 1\nthreshold 0\n") ==
          ":2: threshold: \"0\", expected a number above 0 and up to 1000000");
    CHECK(error_in(folder, "clients 0") == ":1: clients: \"0\", expected a whole number from 1 to 16");
    CHECK(error_in(folder, "threshold nan") ==
          ":1: threshold: \"nan\", expected a number above 0 and up to 1000000");
    CHECK(error_in(folder, "colour red") == ":1: \"colour\" is no setting, expected threshold or clients");
    CHECK(error_in(folder, "clients 1 2") == ":1: \"clients\" has more than one value");
    CHECK(error_in(folder, std::string(5'000, '#')) == ": is longer than 4096 bytes");
    Settings settings;
    CHECK(read_settings(folder.path().c_str(), settings).view() == folder.path() + ": is no regular file");
    CHECK(read_settings("/nowhere", settings).view() ==
          "/nowhere: cannot be opened: No such file or directory");
}
