/* A client of libmimo_vl in C++, through mimo_vl.hpp.
 *
 *     client CHECKPOINT IMAGE */
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include "mimo_vl.hpp"

#define CHECK(condition) \
    ((condition) ? (void)0 : (std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition), std::exit(1)))

using namespace mimo_vl;

static_assert(!std::is_copy_constructible_v<Model> && std::is_nothrow_move_constructible_v<Model>);
static_assert(!std::is_copy_constructible_v<Session> && std::is_nothrow_move_constructible_v<Stream>);

/* Exits unless the call throws an error with this code and a message that contains `word`. */
template <typename Call> static void fails(Call call, mimo_vl_status code, const char *word) {
    try {
        call();
    } catch (const Error &error) {
        if (error.code() == code && std::strstr(error.what(), word)) return;
        std::fprintf(stderr, "%d: %s\n", static_cast<int>(error.code()), error.what());
    }
    std::fprintf(stderr, "no error %d that contains %s\n", static_cast<int>(code), word);
    std::exit(1);
}

static Prompt about(const Image &image, const char *text = "What is in the picture?") {
    Prompt prompt;
    prompt.add(image).add(text).thinking(MIMO_VL_THINKING_OFF);
    return prompt;
}

static void stream_and_ask_give_the_same_answer(const Model &model, const Image &image) {
    Prompt prompt = about(image);
    GenerateOptions few;
    few.max_tokens(12).logprobs();
    Session session(model);
    Answer answer = session.ask(prompt, few);
    CHECK(answer.tokens() == answer.logprobs().size() && !answer.thinking());
    CHECK(answer.logprobs()[0].top.empty());
    CHECK(std::isnan(answer.field_confidence("/none")));
    CHECK(answer.bytes(MIMO_VL_MEMORY_WEIGHTS) > 0 && answer.seconds(MIMO_VL_TIMING_DECODE) > 0);
    session.reset();
    GenerateOptions alternatives;
    alternatives.max_tokens(12).logprobs(3);
    size_t written = 0;
    for (const TokenLogprob &token : session.ask(prompt, alternatives).logprobs()) {
        /* Greedy decoding takes the most likely token. */
        CHECK(token.top.size() == 3 && token.top[0].first == token.token && token.top[0].second == token.logprob);
        CHECK(token.logprob <= 0 && token.top[1].second >= token.top[2].second);
        CHECK(token.range[0] >= written && token.range[1] >= token.range[0]);
        written = token.range[0];
    }
    session.reset();
    CHECK(session.ask(prompt, alternatives.logprobs(std::nullopt)).logprobs().empty());
    session.reset();
    std::string streamed;
    Stream stream = session.stream(prompt, few);
    mimo_vl_event_kind last = MIMO_VL_EVENT_KIND_TEXT;
    for (const Event &event : stream) {
        streamed += event.text;
        last = event.kind;
    }
    CHECK(last == MIMO_VL_EVENT_KIND_END && streamed == answer.text() && !stream.next());
    CHECK(stream.finish().text() == answer.text());
    fails([&] { stream.finish(); }, MIMO_VL_STATUS_OPTION, "finished");
    std::printf("%.*s\n", static_cast<int>(answer.text().size()), answer.text().data());

    /* A stream that is dropped early is rolled back. */
    session.reset();
    {
        Stream broken = session.stream(prompt, few);
        for (const Event &event : broken) {
            CHECK(event.kind == MIMO_VL_EVENT_KIND_TEXT || event.kind == MIMO_VL_EVENT_KIND_END);
            break;
        }
        fails([&] { session.ask(prompt, few); }, MIMO_VL_STATUS_OPTION, "session");
    }
    CHECK(session.ask(prompt, few).text() == answer.text());
}

static void boxes_and_actions_are_typed(const Model &model, const Image &image) {
    GenerateOptions boxes;
    boxes.max_tokens(200).temperature(20).grammar(MIMO_VL_GRAMMAR_KIND_BOXES);
    size_t found = 0;
    for (uint64_t seed = 0; seed < 4; ++seed) {
        Answer answer = Session(model).ask(about(image), boxes.seed(seed));
        for (const Region &region : answer.regions()) {
            auto edges = region.box();
            CHECK(edges && region.label() && !region.text() && region.points().empty());
            CHECK((*edges)[2] <= image.width() && (*edges)[3] <= image.height());
            ++found;
        }
        Image drawn = answer.draw(image);
        CHECK(drawn.width() == image.width() && drawn.height() == image.height());
    }
    CHECK(found > 0);

    Task task("Pay");
    task.instruction("Click it.").action_space({MIMO_VL_ACTION_KIND_CLICK});
    GenerateOptions one;
    one.max_tokens(100).grammar(task);
    Answer answer = Session(model).ask(task.prompt(image, model).thinking(MIMO_VL_THINKING_OFF), one);
    Action action = answer.action();
    CHECK(action.kind() == MIMO_VL_ACTION_KIND_CLICK && action.point() && !action.end_point() && action.keys().empty());
    task.add_step("I click it.", action);
    Action press = Action::parse(R"({"action": "press", "keys": ["ctrl", "c"]})");
    CHECK(press.keys().size() == 2 && press.keys()[1] == "c" && press.json().find("ctrl") != std::string_view::npos);
    Action scroll = Action::parse(R"({"action": "scroll", "direction": "down"})");
    CHECK(scroll.scroll_as_drag(2, 2).kind() == MIMO_VL_ACTION_KIND_DRAG);
    const mimo_vl_screen screen{100, 0, 200, 100, 2};
    CHECK(to_pixels(screen, to_desktop(screen, {20, 30})) == (std::array<double, 2>{20, 30}));
    CHECK(screen_at({screen}, {150, 10}) == 0 && !screen_at({screen}, {0, 0}) && contains({0, 0, 2, 2}, {1, 2}));
    CHECK(image.zoom_crop(0, 0, 1).width() == image.width());
    fails([] { Action::parse("no"); }, MIMO_VL_STATUS_ANSWER, "action");
}

static void forked_and_loaded_sessions_answer_alike(const Model &model, const Image &image, const std::string &file) {
    GenerateOptions few;
    few.max_tokens(8);
    Session session(model);
    Plan plan = session.plan(about(image), few);
    CHECK(plan.fits() && plan.part_size(0) && !plan.part_size(1) && plan.answer_tokens() == 8);
    Prompt smaller = session.fit(about(image), plan.prompt_tokens() - 1, 0, true, few);
    CHECK(session.plan(smaller, few).prompt_tokens() < plan.prompt_tokens());
    session.ask(about(image), few);
    session.save(file);
    Session loaded = Session::load(model, file), fork = session.fork();
    Prompt next;
    next.add("And then?");
    std::string expected(session.ask(next, few).text());
    CHECK(expected == loaded.ask(next, few).text() && expected == fork.ask(next, few).text());
    CHECK(std::remove(file.c_str()) == 0);
    Session moved = std::move(session);
    CHECK(moved.plan(next, few).cached_tokens() > 0);
}

static void videos_and_pixels_come_from_the_caller(const Model &model) {
    std::vector<uint8_t> pixels(40 * 30 * 4, 200);
    Image image = Image::from_pixels(MIMO_VL_PIXEL_FORMAT_BGRA, 40, 30, 160, pixels.data(), pixels.size());
    CHECK(image.pixels()[0] == Image(image.crop(1, 1, 5, 5)).pixels()[0]);
    const std::vector<uint8_t> rgb(40 * 30 * 3, 7);
    CHECK(Image::from_rgb_owned(40, 30, rgb).pixels()[0] == 7);
    fails([&] { Image::from_rgb_owned(41, 30, rgb); }, MIMO_VL_STATUS_IMAGE, "41x30");
    fails([&] { Prompt().add("photo.jpg"); }, MIMO_VL_STATUS_PROMPT, "looks like a file");
    Prompt().add("Describe photo.jpg").text("photo.jpg");
    std::vector<Image> frames;
    frames.push_back(std::move(image));
    frames.push_back(Image::from_pixels(MIMO_VL_PIXEL_FORMAT_RGBA, 40, 30, 160, pixels.data(), pixels.size()));
    Video video = Video::from_frames(frames, 2);
    CHECK(video.frame_count() == 2 && video.timestamp(1) == 0.5 && video.frame(1).width() == 40);
    Prompt prompt;
    prompt.add(video.max_pixels(28 * 28 * 8)).add("What moves?");
    GenerateOptions few;
    Session(model).ask(prompt, few.max_tokens(4));
    CHECK(Features(model, frames[0]).rows() > 0);
    fails([] { Video::open("no/such/film.mp4"); }, MIMO_VL_STATUS_IO, "no/such/film.mp4");
}

static void batches_and_messages_give_answers_of_sessions(const Model &model, const Image &image) {
    Prompt prompt, empty, conversation;
    prompt.add(image).add("What is it?");
    GenerateOptions few;
    few.max_tokens(6);
    Answer single = Session(model).ask(prompt, few);
    Batch batch(model, 2);
    CHECK(batch.add(prompt, few) == 0 && batch.add(empty, few) == 1 && batch.add(prompt, few) == 2);
    size_t ends = 0, failures = 0;
    for (bool done = false; !done;) {
        try {
            auto event = batch.next();
            done = !event;
            ends += event && event->kind == MIMO_VL_EVENT_KIND_END;
        } catch (const Error &error) {
            CHECK(error.code() == MIMO_VL_STATUS_PROMPT && batch.number() == 1);
            failures++;
        }
    }
    CHECK(ends == 2 && failures == 1);
    Answer batched = batch.answer(2);
    CHECK(batched.text() == single.text());
    fails([&] { batch.answer(2); }, MIMO_VL_STATUS_OPTION, "number");
    batch.remove(0);
    conversation.begin_message(MIMO_VL_ROLE_USER).add(image).add("What is it?");
    conversation.begin_message(MIMO_VL_ROLE_ASSISTANT).add(single.text());
    conversation.begin_message(MIMO_VL_ROLE_USER).add("And now?");
    CHECK(Session(model).ask(conversation, few).prompt_tokens() > single.prompt_tokens());
    fails([] { Pdf::open("no/such.pdf", PdfOptions().pages(1, 1).dpi(72)); }, MIMO_VL_STATUS_IO, "no/such.pdf");
    LoadOptions offline;
    offline.hub_revision("main").hub_cache_dir("no/such/cache").hub_offline();
    fails([&] { Model("some/model", offline); }, MIMO_VL_STATUS_HUB, "some/model");
}

/* Options of an answer that would take minutes and is complete only if its cancel was lost. */
static GenerateOptions without_end(const CancelToken &token) {
    GenerateOptions options;
    options.max_tokens(30000).timeout(60).cancel(token);
    /* The end tokens of the checkpoint in tests/data/tiny. */
    for (uint32_t id : {480u, 482u}) options.logit_bias(id, -std::numeric_limits<float>::infinity());
    return options;
}

static void a_token_cancels_its_calls(const Model &model, const std::string &checkpoint) {
    Prompt prompt;
    prompt.add("Count.");
    CancelToken token;
    CHECK(!token.is_cancelled());
    Session session(model);
    Stream stream = session.stream(prompt, without_end(token));
    CHECK(stream.next());
    Batch batch(model, 2, token);
    batch.add(prompt, without_end(CancelToken()));
    CHECK(batch.next());
    std::thread([&] { token.cancel(); }).join();
    CHECK(token.is_cancelled());
    const auto read_all = [](auto &events) {
        while (events.next()) {
        }
    };
    fails([&] { read_all(stream); }, MIMO_VL_STATUS_CANCELLED, "cancelled");
    fails([&] { read_all(batch); }, MIMO_VL_STATUS_CANCELLED, "cancelled");

    /* A cancel before the call counts, too, and other calls are not affected. */
    fails([&] { session.ask(prompt, without_end(token)); }, MIMO_VL_STATUS_CANCELLED, "cancelled");
    LoadOptions load;
    load.cancel(token);
    fails([&] { Model again(checkpoint, load); }, MIMO_VL_STATUS_CANCELLED, "cancelled");
    fails([&] { Pdf::open("no/such.pdf", PdfOptions().timeout(60).cancel(CancelToken())); }, MIMO_VL_STATUS_IO,
          "no/such");
    fails([&] { Video::open("no/such.mp4", VideoOptions().timeout(60).cancel(CancelToken())); }, MIMO_VL_STATUS_IO,
          "no/such");
    GenerateOptions few;
    session.ask(prompt, few.max_tokens(2));
}

static void no_cancel_is_lost_at_any_moment(const Model &model) {
    constexpr int tries = 100;
    constexpr std::chrono::microseconds span(3000);
    Prompt prompt;
    prompt.add("Count.");
    for (int index = 0; index < tries; ++index) {
        CancelToken token;
        std::atomic<bool> started = false;
        std::thread other([&] {
            while (!started) std::this_thread::yield();
            /* The delays are in an order without a pattern. */
            const auto end = std::chrono::steady_clock::now() + index * 39 % tries * span / tries;
            while (std::chrono::steady_clock::now() < end) std::this_thread::yield();
            token.cancel();
        });
        Session session(model);
        GenerateOptions options = without_end(token);
        started = true;
        fails([&] { session.ask(prompt, options); }, MIMO_VL_STATUS_CANCELLED, "cancelled");
        other.join();
    }
}

/* Exits unless the call throws this text, which is not an error of the library. */
template <typename Call> static void throws(Call call, const std::string &text) {
    try {
        call();
    } catch (const std::string &thrown) {
        CHECK(thrown == text);
        return;
    }
    std::fprintf(stderr, "%s was not thrown\n", text.c_str());
    std::exit(1);
}

static void progress_functions_cancel_and_throw(const Model &model, const Image &image, const std::string &checkpoint) {
    Session session(model);
    Prompt prompt = about(image);
    GenerateOptions few;
    std::vector<mimo_vl_stage> stages;
    few.max_tokens(2).on_progress([&](mimo_vl_stage stage, uint64_t done, uint64_t total) {
        CHECK(done <= total);
        if (stages.empty() || stages.back() != stage) stages.push_back(stage);
        return true;
    });
    session.ask(prompt, few);
    CHECK((stages == std::vector<mimo_vl_stage>{MIMO_VL_STAGE_ENCODE, MIMO_VL_STAGE_PREFILL}));
    session.reset();
    few.on_progress([](mimo_vl_stage, uint64_t, uint64_t) { return false; });
    fails([&] { session.ask(prompt, few); }, MIMO_VL_STATUS_CANCELLED, "cancelled");

    /* An exception passes through the library, also from the last report before a stream begins. */
    const auto throw_at_the_end = [](mimo_vl_stage stage, uint64_t done, uint64_t total) -> bool {
        if (stage == MIMO_VL_STAGE_PREFILL && done == total) throw std::string("prefill");
        return true;
    };
    few.on_progress(throw_at_the_end);
    throws([&] { session.ask(prompt, few); }, "prefill");
    throws([&] { session.stream(prompt, few); }, "prefill");
    Batch batch(model);
    /* The batch keeps the function of options that are gone. */
    batch.add(prompt, GenerateOptions().max_tokens(2).on_progress(throw_at_the_end));
    throws([&] { batch.next(); }, "prefill");
    few.on_progress({});
    session.ask(prompt, few);
    LoadOptions load;
    load.on_progress([](mimo_vl_stage, uint64_t, uint64_t) -> bool { throw std::string("load"); });
    throws([&] { Model again(checkpoint, load); }, "load");
    load.on_progress([](mimo_vl_stage stage, uint64_t, uint64_t) { return stage != MIMO_VL_STAGE_LOAD; });
    fails([&] { Model again(checkpoint, load); }, MIMO_VL_STATUS_CANCELLED, "cancelled");
}

int main(int count, char **arguments) {
    if (count < 3) return 2;
    const std::string checkpoint = arguments[1];
    fails([] { Model("no/such/folder"); }, MIMO_VL_STATUS_IO, "no/such/folder");
    fails([] { Image::open("no/such.png"); }, MIMO_VL_STATUS_IO, "no/such.png");
    LoadOptions options;
    options.device("cpu").weights(MIMO_VL_WEIGHT_FORMAT_NATIVE).threads(2).feature_cache(0);
    Model model(checkpoint, options);
    CHECK(model.device() == "cpu");
    Image image = Image::open(arguments[2]);
    stream_and_ask_give_the_same_answer(model, image);
    boxes_and_actions_are_typed(model, image);
    forked_and_loaded_sessions_answer_alike(model, image, std::string(arguments[0]) + ".session");
    videos_and_pixels_come_from_the_caller(model);
    batches_and_messages_give_answers_of_sessions(model, image);
    a_token_cancels_its_calls(model, checkpoint);
    no_cancel_is_lost_at_any_moment(model);
    progress_functions_cancel_and_throw(model, image, checkpoint);
    return 0;
}
