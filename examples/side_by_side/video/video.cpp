/* Answers a prompt about a video file, sampled at two frames per second: video MODEL VIDEO_FILE PROMPT */
#include <iomanip>
#include <iostream>

#include "mimo_vl.hpp"

int main(int count, char **arguments) {
    if (count != 4) {
        std::cerr << "usage: video MODEL VIDEO_FILE PROMPT\n";
        return 2;
    }
    try {
        mimo_vl::VideoOptions options;
        // A token covers 28 × 28 pixels of a pair of frames, so that each pair has at most 36 tokens.
        options.fps(2.0).max_pixels(36 * 784);
        mimo_vl::Video video = mimo_vl::Video::open(arguments[2], options);
        std::cout << std::fixed << std::setprecision(2);
        for (size_t index = 0; index < video.frame_count(); ++index) {
            std::cout << (index == 0 ? "" : " ") << video.timestamp(index);
        }
        std::cout << '\n';
        mimo_vl::Prompt prompt;
        prompt.add(video).add(arguments[3]).thinking(MIMO_VL_THINKING_OFF);
        mimo_vl::Model model(arguments[1]);
        mimo_vl::Session session(model);
        std::cout << session.ask(prompt).text() << '\n';
    } catch (const mimo_vl::Error &error) {
        std::cerr << "video: " << error.what() << '\n';
        return 1;
    }
}
