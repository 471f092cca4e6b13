// SPDX-License-Identifier: MIT
#include "recording.hpp"

#include "noise.hpp"
#include "recording_text.hpp"
#include "support/catch.hpp"
#include "support/heap_guard.hpp"
#include "support/totals.hpp"

#include <string>

using namespace leak;
using namespace leak::test;

TEST_CASE("a recording gives its samples in order, with labels") {
    const auto parsed = parse(small_recording());
    CHECK(parsed.error.empty());
    REQUIRE(parsed.samples.size() == 2);
    const SignalValues first{0.08, 0.13, 1.27, 0.054, 92.2, 22.2, 209.6, 76.1};
    const SignalValues second{0.09, 0.14, 1.28, -0.273, 92, 22.3, 210, 77};
    CHECK(parsed.samples[0] == Sample{1'583'077'446, first, {.anomaly = false, .changepoint = false}});
    CHECK(parsed.samples[1] == Sample{1'583'077'447, second, {.anomaly = true, .changepoint = true}});
}

TEST_CASE("columns are found by name, in any order, among others") {
    const auto parsed = parse(
        "Volume Flow RateRMS;note;Voltage;Thermocouple;Temperature;Pressure;Current;Accelerometer2RMS;"
        "Accelerometer1RMS;datetime\n8;any text;7;6;5;4;3;2;1;2020-01-01 00:00:00\n");
    CHECK(parsed.error.empty());
    REQUIRE(parsed.samples.size() == 1);
    CHECK(parsed.samples[0].values == SignalValues{1, 2, 3, 4, 5, 6, 7, 8});
    CHECK(parsed.samples[0].labels == Labels{});
}

TEST_CASE("line ends, a byte order mark and empty lines at the end make no difference") {
    const auto plain = parse(small_recording());
    std::string carriage_returns;
    for (const char character : small_recording()) {
        if (character == '\n') carriage_returns += '\r';
        carriage_returns += character;
    }
    auto without_end = small_recording();
    without_end.pop_back();
    CHECK(parse(carriage_returns) == plain);
    CHECK(parse(without_end) == plain);
    CHECK(parse("\xef\xbb\xbf" + small_recording()) == plain);
    CHECK(parse(small_recording() + "\n\r\n\n") == plain);
}

TEST_CASE("an error names file, line, column and the column's name") {
    const auto text = small_recording();
    CHECK(error_of(replaced(text, "-0.273", "abc")) == "small.csv:3:5: Pressure: \"abc\" is not a number");
    CHECK(error_of(replaced(text, "-0.273", "")) ==
          "small.csv:3:5: Pressure: the field is empty, a number was expected");
    CHECK(error_of(replaced(text, "0.054", "0.054 ")) ==
          "small.csv:2:5: Pressure: \"0.054 \" is not a number");
    CHECK(error_of(replaced(text, "0.054", "0,054")) == "small.csv:2:5: Pressure: \"0,054\" is not a number");
    CHECK(error_of(replaced(text, "77", "1e999")) ==
          "small.csv:3:9: Volume Flow RateRMS: \"1e999\" is out of range");
    CHECK(error_of(replaced(text, "1.27", "nan")) ==
          "small.csv:2:4: Current: \"nan\" is not a finite number");
    CHECK(error_of(replaced(text, "1.27", "-inf")) ==
          "small.csv:2:4: Current: \"-inf\" is not a finite number");
    CHECK(error_of(replaced(text, "1.0;1", "2;1")) == "small.csv:3:10: anomaly: \"2\" is neither 0 nor 1");
    CHECK(error_of(replaced(text, "1.27", "\x1b[2J")) ==
          "small.csv:2:4: Current: \"\\x1b[2J\" is not a number");
    CHECK(error_of(replaced(text, "1.27", std::string_view{"1\0", 2})) ==
          "small.csv:2:4: Current: there is a NUL byte in the text");
}

TEST_CASE("a wrong or backward time is an error, an equal one and a gap are not") {
    const auto text = small_recording();
    CHECK(error_of(replaced(text, "2020-03-01 15:44:07", "2020-02-30 15:44:07")) ==
          "small.csv:3:1: datetime: \"2020-02-30 15:44:07\" is not a time, YYYY-MM-DD hh:mm:ss was expected");
    CHECK(error_of(replaced(text, "15:44:07", "15:44:05")) ==
          "small.csv:3:1: datetime: time goes back to 2020-03-01 15:44:05 from 2020-03-01 15:44:06");
    CHECK(parse(replaced(text, "15:44:07", "15:44:06")).samples.size() == 2);
    CHECK(parse(replaced(text, "15:44:07", "23:44:06")).samples.size() == 2);
}

TEST_CASE("a header that lacks, repeats or overflows columns is an error in line 1") {
    const auto text = small_recording();
    CHECK(error_of(replaced(text, "Pressure", "pressure")) ==
          "small.csv:1:12: missing from the header: Pressure");
    CHECK(error_of("a;b\n1;2\n") ==
          "small.csv:1:3: missing from the header: datetime, Accelerometer1RMS, Accelerometer2RMS, Current, "
          "Pressure, Temperature, Thermocouple, Voltage, Volume Flow RateRMS");
    CHECK(error_of(replaced(text, "Voltage", "Current")) ==
          "small.csv:1:8: Current: the column appears twice, first as column 4");
    CHECK(error_of(std::string(64, ';') + "\n") == "small.csv:1:65: there are more than 64 columns");
}

TEST_CASE("a line with too few or too many fields is an error") {
    const auto text = small_recording();
    CHECK(error_of(replaced(text, ";76.1;0.0;0.0", "")) ==
          "small.csv:2:9: Volume Flow RateRMS: the line ends after 8 fields, but the header has 11");
    CHECK(error_of(text + "2020-03-01 15:44:08;0.1") ==
          "small.csv:4:3: Accelerometer2RMS: the line ends after 2 fields, but the header has 11");
    CHECK(error_of(text + "2020-03-01 15") ==
          "small.csv:4:1: datetime: \"2020-03-01 15\" is not a time, YYYY-MM-DD hh:mm:ss was expected");
    CHECK(error_of(replaced(text, "76.1;", "76.1;;"))
              .starts_with("small.csv:2:10: anomaly: the field is empty"));
    CHECK(error_of(replaced(text, "77;1.0;1", "77;1.0;1;5;6")) ==
          "small.csv:3:12: the line has 13 fields, but the header has 11");
    CHECK(error_of(replaced(text, second_line, "\n" + std::string{second_line})) ==
          "small.csv:3:1: datetime: the line is empty, but others follow");
}

TEST_CASE("an empty file and one with a header only are errors") {
    CHECK(error_of("") == "small.csv:1:1: the file is empty, a line with the columns' names was expected");
    CHECK(error_of("\n") ==
          "small.csv:1:1: the first line is empty, a line with the columns' names was expected");
    CHECK(error_of(header) == "small.csv:2:1: datetime: no sample follows the header");
}

TEST_CASE("a line of a megabyte is an error at its 4097th byte") {
    const std::string megabyte(1 << 20, '1');
    CHECK(error_of(megabyte) == "small.csv:1:1: the line is longer than 4096 bytes");
    CHECK(error_of(replaced(small_recording(), "1.28", megabyte)) ==
          "small.csv:3:4: Current: the line is longer than 4096 bytes");

    const std::string longest = std::string{header.substr(0, header.size() - 1)} + ";" +
                                std::string(RecordingParser::line_bytes_max - header.size(), 'x') + "\n";
    const std::string sample = std::string{first_line.substr(0, first_line.size() - 1)} + ";\n";
    CHECK(parse(longest + sample).samples.size() == 1);
    CHECK(error_of("x" + longest + sample) == "small.csv:1:12: the line is longer than 4096 bytes");
}

TEST_CASE("an error is final") {
    RecordingParser parser{"small.csv"};
    Sample sample;
    std::span<const char> bad{"\n", 1};
    CHECK(parser.next(bad, sample) == RecordingParser::Step::failed);
    const std::string error{parser.error()};
    std::span<const char> good{header};
    CHECK(parser.next(good, sample) == RecordingParser::Step::failed);
    CHECK(parser.finish(sample) == RecordingParser::Step::failed);
    CHECK(parser.error() == error);
}

TEST_CASE("parsing takes nothing from the heap") {
    const std::string text = small_recording();
    std::size_t samples = 0;
    {
        const weir::test::HeapGuard guard;
        RecordingParser parser{"small.csv"};
        Sample sample;
        std::span<const char> rest{text};
        while (parser.next(rest, sample) == RecordingParser::Step::sample) ++samples;
        std::span<const char> bad{"x;y\n", 4};
        parser.next(bad, sample);
    }
    CHECK(samples == 2);
}

namespace {

/// A recording of 50 lines, of which a few may be spoiled by bytes at random places.
std::string random_recording(Noise& noise, std::size_t spoiled_bytes) {
    std::string text{header};
    for (unsigned line = 0; line < 50; ++line) {
        text += "2020-03-01 15:44:";
        text += static_cast<char>('0' + line / 10);
        text += static_cast<char>('0' + line % 10);
        for (int column = 0; column < 8; ++column) text += ";" + std::to_string(noise.normal());
        text += noise.next() % 2 == 0 ? ";0;1.0\n" : ";1.0;0\r\n";
    }
    for (std::size_t i = 0; i < spoiled_bytes; ++i) {
        constexpr std::string_view likely{";\n\r0.-e: \0\xff", 11};
        const auto place = noise.index(text.size());
        text[place] =
            noise.index(2) == 0 ? likely[noise.index(likely.size())] : static_cast<char>(noise.next());
    }
    return text;
}

}  // namespace

TEST_CASE("however a recording is cut into pieces and spoiled, the outcome is the same and in bounds") {
    std::size_t failed = 0;
    for (std::uint64_t seed = 1; seed <= 300; ++seed) {
        CAPTURE(seed);
        weir::test::totals().note_seed();
        Noise noise{seed};
        const auto text = random_recording(noise, seed % 4);
        const auto whole = parse(text);
        const auto pieces = parse(text, [&noise] { return 1 + noise.index(97); });
        CHECK(pieces == whole);
        CHECK(parse(text, [] { return std::size_t{1}; }) == whole);
        if (seed % 4 == 0) CHECK(whole.samples.size() == 50);
        if (!whole.error.empty()) {
            ++failed;
            CHECK(whole.error.starts_with("small.csv:"));
        }
    }
    CHECK(failed > 150);
}
