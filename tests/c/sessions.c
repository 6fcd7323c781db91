/* A client of libmimo_vl: plans, forks, saved sessions, callbacks, options, pixels, videos, log.
 *
 *     sessions CHECKPOINT IMAGE */
#include <math.h>

#include "check.h"

static mimo_vl_image *open_image(void) {
    mimo_vl_error *error = NULL;
    mimo_vl_image *image;
    OK(mimo_vl_image_from_path(image_path, &image, &error));
    return image;
}

/* The answer to a prompt, as a string that the caller frees. */
static char *ask(mimo_vl_session *session, const mimo_vl_prompt *prompt) {
    mimo_vl_error *error = NULL;
    mimo_vl_generate_options *options = max_tokens(8);
    mimo_vl_answer *answer;
    mimo_vl_str text;
    OK(mimo_vl_session_ask(session, prompt, options, &answer, &error));
    CHECK(mimo_vl_answer_bytes(answer, MIMO_VL_MEMORY_WEIGHTS) > 0);
    CHECK(mimo_vl_answer_bytes(answer, MIMO_VL_MEMORY_CACHE) > 0);
    CHECK(mimo_vl_answer_bytes(answer, 77) == 0 && mimo_vl_answer_bytes(NULL, MIMO_VL_MEMORY_CACHE) == 0);
    CHECK(mimo_vl_answer_seconds(answer, MIMO_VL_TIMING_SAMPLING) > 0);
    mimo_vl_answer_text(answer, &text);
    char *copy = malloc(text.len + 1);
    CHECK(copy != NULL);
    memcpy(copy, text.data, text.len + 1);
    mimo_vl_answer_free(answer);
    mimo_vl_generate_options_free(options);
    return copy;
}

static void plans_agree_with_answers(const mimo_vl_model *model) {
    mimo_vl_error *error = NULL;
    mimo_vl_session *session = new_session(model);
    mimo_vl_image *image = open_image();
    mimo_vl_prompt *prompt = new_prompt(image), *smaller;
    mimo_vl_plan *plan, *fitted;
    mimo_vl_answer *answer;
    mimo_vl_generate_options *options = max_tokens(8);
    size_t size[2] = {0, 0};
    OK(mimo_vl_session_plan(session, prompt, options, &plan, &error));
    CHECK(mimo_vl_plan_fits(plan) && mimo_vl_plan_answer_tokens(plan) == 8 && mimo_vl_plan_cached_tokens(plan) == 0);
    CHECK(mimo_vl_plan_cache_bytes(plan) > 0 && mimo_vl_plan_peak_bytes(plan) > mimo_vl_plan_cache_bytes(plan));
    CHECK(mimo_vl_plan_available_bytes(plan) > 0 && mimo_vl_plan_part_count(plan) == 3);
    CHECK(mimo_vl_plan_part_size(plan, 0, size) && size[0] % 28 == 0 && size[1] % 28 == 0);
    CHECK(mimo_vl_plan_part_tokens(plan, 0) == size[0] * size[1] / 784);
    CHECK(!mimo_vl_plan_part_size(plan, 1, size) && !mimo_vl_plan_part_size(plan, 9, size));
    CHECK(mimo_vl_plan_part_tokens(plan, 1) > 0 && mimo_vl_plan_part_tokens(plan, 9) == 0);
    size_t tokens = mimo_vl_plan_prompt_tokens(plan);
    FAILS(mimo_vl_session_fit(session, prompt, options, tokens - 1, 0, false, &smaller, &fitted, &error),
          MIMO_VL_STATUS_CONTEXT_TOO_LONG, "tokens");
    CHECK(smaller == NULL && fitted == NULL);
    FAILS(mimo_vl_session_fit(session, prompt, options, 0, 1, true, &smaller, NULL, &error), MIMO_VL_STATUS_MEMORY,
          "memory");
    OK(mimo_vl_session_fit(session, prompt, options, tokens - 1, 0, true, &smaller, &fitted, &error));
    CHECK(mimo_vl_plan_prompt_tokens(fitted) < tokens);
    OK(mimo_vl_session_ask(session, smaller, options, &answer, &error));
    CHECK(mimo_vl_answer_prompt_tokens(answer) == mimo_vl_plan_prompt_tokens(fitted));
    mimo_vl_answer_free(answer);
    mimo_vl_plan_free(fitted);
    mimo_vl_plan_free(plan);
    mimo_vl_prompt_free(smaller);
    mimo_vl_prompt_free(prompt);
    mimo_vl_image_free(image);
    mimo_vl_generate_options_free(options);
    mimo_vl_session_free(session);
}

static void forked_and_loaded_sessions_answer_alike(const mimo_vl_model *model, const char *file) {
    mimo_vl_error *error = NULL;
    mimo_vl_session *session = new_session(model), *fork, *loaded, *none;
    mimo_vl_image *image = open_image();
    mimo_vl_prompt *first = new_prompt(image), *second = new_prompt(NULL);
    free(ask(session, first));
    OK(mimo_vl_session_fork(session, &fork, &error));
    OK(mimo_vl_session_save(session, file, &error));
    OK(mimo_vl_session_load(model, file, &loaded, &error));
    char *expected = ask(session, second), *forked = ask(fork, second), *restored = ask(loaded, second);
    CHECK(strcmp(expected, forked) == 0 && strcmp(expected, restored) == 0);
    FAILS(mimo_vl_session_load(model, image_path, &none, &error), MIMO_VL_STATUS_CHECKPOINT, image_path);
    FAILS(mimo_vl_session_load(model, "no/such/file", &none, &error), MIMO_VL_STATUS_IO, "no/such/file");
    FAILS(mimo_vl_session_save(session, "no/such/folder/file", &error), MIMO_VL_STATUS_IO, "no/such/folder");
    free(expected);
    free(forked);
    free(restored);
    mimo_vl_session_free(loaded);
    mimo_vl_session_free(fork);
    mimo_vl_session_free(session);
    mimo_vl_prompt_free(second);
    mimo_vl_prompt_free(first);
    mimo_vl_image_free(image);
    CHECK(remove(file) == 0);
}

/* Counts of calls, the reply of the callbacks, and the text so far. */
struct calls {
    int events, reports;
    int32_t reply;
    char text[1000];
};

static int32_t on_event(void *data, mimo_vl_event_kind kind, mimo_vl_str text, const mimo_vl_region *region) {
    struct calls *calls = data;
    CHECK(region == NULL && strlen(calls->text) + text.len < sizeof calls->text);
    strcat(calls->text, text.data);
    calls->events++;
    return kind == MIMO_VL_EVENT_KIND_END ? 99 : calls->reply;
}

static int32_t on_progress(void *data, mimo_vl_stage stage, uint64_t done, uint64_t total) {
    struct calls *calls = data;
    CHECK((stage == MIMO_VL_STAGE_ENCODE || stage == MIMO_VL_STAGE_PREFILL) && done <= total);
    calls->reports++;
    return calls->reply;
}

static int32_t on_load(void *data, mimo_vl_stage stage, uint64_t done, uint64_t total) {
    struct calls *calls = data;
    CHECK(stage == MIMO_VL_STAGE_LOAD && done <= total);
    calls->reports++;
    return calls->reply;
}

static void callbacks_are_called(const mimo_vl_model *model) {
    mimo_vl_error *error = NULL;
    mimo_vl_session *session = new_session(model);
    mimo_vl_prompt *prompt = new_prompt(NULL);
    mimo_vl_generate_options *options = max_tokens(8);
    mimo_vl_answer *answer;
    mimo_vl_model *loaded;
    struct calls calls = {.reply = MIMO_VL_CONTINUE};
    char *expected = ask(session, prompt);
    mimo_vl_str text;
    OK(mimo_vl_session_reset(session, &error));
    OK(mimo_vl_generate_options_set_progress(options, on_progress, &calls, &error));
    OK(mimo_vl_session_ask_with_callback(session, prompt, options, on_event, &calls, &answer, &error));
    mimo_vl_answer_text(answer, &text);
    CHECK(strcmp(text.data, expected) == 0 && strcmp(calls.text, expected) == 0);
    CHECK(calls.events > 1 && calls.reports > 0);
    mimo_vl_answer_free(answer);
    FAILS(mimo_vl_session_ask_with_callback(session, prompt, options, NULL, NULL, &answer, &error),
          MIMO_VL_STATUS_OPTION, "callback");

    /* STOP keeps the text so far as the answer, CANCEL rolls it back. */
    struct calls stopped = {.reply = MIMO_VL_STOP};
    int reports = calls.reports;
    OK(mimo_vl_generate_options_set_progress(options, NULL, NULL, &error));
    OK(mimo_vl_session_reset(session, &error));
    OK(mimo_vl_session_ask_with_callback(session, prompt, options, on_event, &stopped, &answer, &error));
    CHECK(mimo_vl_answer_stop_reason(answer) == MIMO_VL_STOP_REASON_CANCELLED && stopped.events <= calls.events);
    mimo_vl_answer_free(answer);
    OK(mimo_vl_session_reset(session, &error));
    struct calls cancelled = {.reply = MIMO_VL_CANCEL};
    FAILS(mimo_vl_session_ask_with_callback(session, prompt, options, on_event, &cancelled, NULL, &error),
          MIMO_VL_STATUS_CANCELLED, "cancelled");
    CHECK(cancelled.events == 1);
    char *again = ask(session, prompt);
    CHECK(strcmp(again, expected) == 0);

    CHECK(calls.reports == reports);

    /* A progress callback cancels its call. */
    OK(mimo_vl_session_reset(session, &error));
    OK(mimo_vl_generate_options_set_progress(options, on_progress, &cancelled, &error));
    FAILS(mimo_vl_session_ask(session, prompt, options, &answer, &error), MIMO_VL_STATUS_CANCELLED, "cancelled");
    CHECK(cancelled.reports > 0);

    struct calls loading = {.reply = MIMO_VL_CONTINUE};
    mimo_vl_load_options *load_options = mimo_vl_load_options_new();
    OK(mimo_vl_load_options_set_progress(load_options, on_load, &loading, &error));
    OK(mimo_vl_model_load(checkpoint, load_options, &loaded, &error));
    CHECK(loading.reports > 1);
    mimo_vl_model_free(loaded);
    OK(mimo_vl_load_options_set_progress(load_options, on_load, &cancelled, &error));
    FAILS(mimo_vl_model_load(checkpoint, load_options, &loaded, &error), MIMO_VL_STATUS_CANCELLED, "cancelled");
    OK(mimo_vl_load_options_set_progress(load_options, NULL, NULL, &error));
    OK(mimo_vl_load_options_set_timeout(load_options, 1e-9, &error));
    FAILS(mimo_vl_model_load(checkpoint, load_options, &loaded, &error), MIMO_VL_STATUS_TIMEOUT, "time limit");
    mimo_vl_load_options_free(load_options);
    free(again);
    free(expected);
    mimo_vl_generate_options_free(options);
    mimo_vl_prompt_free(prompt);
    mimo_vl_session_free(session);
}

static void options_reach_the_answer(const mimo_vl_model *model) {
    mimo_vl_error *error = NULL;
    mimo_vl_session *session = new_session(model);
    mimo_vl_prompt *prompt = new_prompt(NULL);
    mimo_vl_generate_options *options = max_tokens(8);
    mimo_vl_answer *answer;
    OK(mimo_vl_generate_options_set_frequency_penalty(options, 3.0f, &error));
    FAILS(mimo_vl_session_ask(session, prompt, options, &answer, &error), MIMO_VL_STATUS_OPTION, "frequency_penalty");
    OK(mimo_vl_generate_options_set_frequency_penalty(options, 0.1f, &error));
    OK(mimo_vl_generate_options_set_presence_penalty(options, -3.0f, &error));
    FAILS(mimo_vl_session_ask(session, prompt, options, &answer, &error), MIMO_VL_STATUS_OPTION, "presence_penalty");
    OK(mimo_vl_generate_options_set_presence_penalty(options, 0.1f, &error));
    OK(mimo_vl_generate_options_set_typical_p(options, 0.0f, &error));
    FAILS(mimo_vl_session_ask(session, prompt, options, &answer, &error), MIMO_VL_STATUS_OPTION, "typical_p");
    OK(mimo_vl_generate_options_set_typical_p(options, 0.9f, &error));
    OK(mimo_vl_generate_options_set_loop_window(options, 3, &error));
    FAILS(mimo_vl_session_ask(session, prompt, options, &answer, &error), MIMO_VL_STATUS_OPTION, "loop_window");
    OK(mimo_vl_generate_options_set_loop_window(options, 64, &error));
    OK(mimo_vl_generate_options_set_best_of(options, 2, &error));
    FAILS(mimo_vl_session_ask(session, prompt, options, &answer, &error), MIMO_VL_STATUS_OPTION, "best_of");
    OK(mimo_vl_generate_options_set_temperature(options, 1.0f, &error));
    OK(mimo_vl_generate_options_add_logit_bias(options, 1u << 30, 1.0f, &error));
    FAILS(mimo_vl_session_ask(session, prompt, options, &answer, &error), MIMO_VL_STATUS_OPTION, "logit_bias");
    mimo_vl_generate_options_free(options);

    options = max_tokens(8);
    OK(mimo_vl_generate_options_set_best_of(options, 2, &error));
    OK(mimo_vl_generate_options_set_temperature(options, 1.0f, &error));
    OK(mimo_vl_generate_options_set_thinking_budget(options, 4, &error));
    OK(mimo_vl_generate_options_set_keep_thinking(options, true, &error));
    OK(mimo_vl_generate_options_set_prose_regions(options, true, &error));
    OK(mimo_vl_generate_options_add_stop(options, "never said", strlen("never said"), &error));
    FAILS(mimo_vl_generate_options_add_stop(options, NULL, 1, &error), MIMO_VL_STATUS_OPTION, "text");
    OK(mimo_vl_generate_options_set_logprobs(options, 0, &error));
    OK(mimo_vl_session_ask(session, prompt, options, &answer, &error));
    CHECK(mimo_vl_answer_logprob_count(answer) == mimo_vl_answer_tokens(answer));
    mimo_vl_answer_free(answer);
    OK(mimo_vl_generate_options_set_logprobs(options, SIZE_MAX, &error));
    OK(mimo_vl_generate_options_set_timeout(options, 1e-9, &error));
    FAILS(mimo_vl_session_ask(session, prompt, options, &answer, &error), MIMO_VL_STATUS_TIMEOUT, "time limit");
    OK(mimo_vl_generate_options_set_timeout(options, 0.0, &error));
    OK(mimo_vl_session_ask(session, prompt, options, &answer, &error));
    CHECK(mimo_vl_answer_logprob_count(answer) == 0 && isnan(mimo_vl_answer_logprob(answer, 0)));
    mimo_vl_answer_free(answer);
    mimo_vl_generate_options_free(options);
    mimo_vl_prompt_free(prompt);
    mimo_vl_session_free(session);
}

static void alternatives_come_with_their_logprobs(const mimo_vl_model *model) {
    mimo_vl_error *error = NULL;
    mimo_vl_session *session = new_session(model);
    mimo_vl_prompt *prompt = new_prompt(NULL);
    mimo_vl_generate_options *options = max_tokens(8);
    mimo_vl_answer *answer;
    mimo_vl_str text;
    size_t range[2] = {7, 7};
    uint32_t token;
    OK(mimo_vl_generate_options_set_logprobs(options, 101, &error));
    FAILS(mimo_vl_session_ask(session, prompt, options, &answer, &error), MIMO_VL_STATUS_OPTION, "logprobs");
    OK(mimo_vl_generate_options_set_logprobs(options, 3, &error));
    OK(mimo_vl_session_ask(session, prompt, options, &answer, &error));
    mimo_vl_answer_text(answer, &text);
    size_t count = mimo_vl_answer_logprob_count(answer);
    CHECK(count > 0 && count == mimo_vl_answer_tokens(answer));
    for (size_t index = 0; index < count; index++) {
        float logprob = mimo_vl_answer_logprob(answer, index), sum = 0.0f;
        CHECK(mimo_vl_answer_top_logprob_count(answer, index) == 3);
        /* Greedy decoding takes the most likely token. */
        CHECK(mimo_vl_answer_top_logprob(answer, index, 0, &token) == logprob);
        CHECK(token == mimo_vl_answer_logprob_token(answer, index));
        for (size_t rank = 0; rank < 3; rank++) {
            float alternative = mimo_vl_answer_top_logprob(answer, index, rank, NULL);
            CHECK(alternative <= logprob);
            sum += expf(alternative);
            logprob = alternative;
        }
        CHECK(sum > 0.0f && sum < 1.001f);
        CHECK(isnan(mimo_vl_answer_top_logprob(answer, index, 3, &token)) && token == UINT32_MAX);
        CHECK(mimo_vl_answer_logprob_range(answer, index, range) && range[0] <= range[1] && range[1] <= text.len);
    }
    range[0] = 7;
    CHECK(!mimo_vl_answer_logprob_range(answer, count, range) && range[0] == 7);
    CHECK(mimo_vl_answer_logprob_range(answer, 0, NULL) && !mimo_vl_answer_logprob_range(NULL, 0, range));
    CHECK(mimo_vl_answer_top_logprob_count(answer, count) == 0 && mimo_vl_answer_top_logprob_count(NULL, 0) == 0);
    CHECK(mimo_vl_answer_logprob_token(answer, count) == UINT32_MAX && isnan(mimo_vl_answer_logprob(NULL, 0)));
    mimo_vl_answer_free(answer);
    mimo_vl_generate_options_free(options);
    mimo_vl_prompt_free(prompt);
    mimo_vl_session_free(session);
}

static void pixels_come_in_any_order(void) {
    static const uint8_t rgb[6] = {1, 2, 3, 4, 5, 6}, bgra[8] = {3, 2, 1, 255, 6, 5, 4, 255};
    static const uint8_t bgr[6] = {3, 2, 1, 6, 5, 4}, rgba[8] = {1, 2, 3, 255, 4, 5, 6, 255};
    mimo_vl_error *error = NULL;
    mimo_vl_image *image, *part;
    const struct {
        int32_t format;
        const uint8_t *pixels;
        size_t row;
    } cases[] = {{MIMO_VL_PIXEL_FORMAT_RGB, rgb, 6},
                {MIMO_VL_PIXEL_FORMAT_BGR, bgr, 6},
                {MIMO_VL_PIXEL_FORMAT_RGBA, rgba, 8},
                {MIMO_VL_PIXEL_FORMAT_BGRA, bgra, 8}};
    for (size_t index = 0; index < 4; index++) {
        const uint8_t *pixels = cases[index].pixels;
        size_t row = cases[index].row;
        OK(mimo_vl_image_from_pixels(cases[index].format, 2, 1, row, pixels, row, &image, &error));
        CHECK(memcmp(mimo_vl_image_pixels(image), rgb, 6) == 0);
        OK(mimo_vl_image_crop(image, 1, 0, 1, 1, &part, &error));
        CHECK(mimo_vl_image_width(part) == 1 && memcmp(mimo_vl_image_pixels(part), rgb + 3, 3) == 0);
        mimo_vl_image_free(part);
        FAILS(mimo_vl_image_crop(image, 1, 0, 2, 1, &part, &error), MIMO_VL_STATUS_IMAGE, "part");
        FAILS(mimo_vl_image_write_png(image, "no/such/folder/a.png", &error), MIMO_VL_STATUS_IO, "no/such/folder");
        mimo_vl_image_free(image);
    }
    FAILS(mimo_vl_image_from_pixels(4, 2, 1, 8, rgba, 8, &image, &error), MIMO_VL_STATUS_OPTION, "pixel_format");
    CHECK(mimo_vl_image_pixels(NULL) == NULL);
}

static void count_up(void *number) { ++*(int *)number; }

/* Lent pixels are released once no handle refers to them. */
static void lent_pixels_are_released(const mimo_vl_model *model) {
    static const uint8_t pixels[28 * 28 * 3] = {1, 2, 3};
    mimo_vl_error *error = NULL;
    mimo_vl_image *image;
    mimo_vl_answer *answer;
    mimo_vl_generate_options *options = max_tokens(1);
    mimo_vl_session *session = new_session(model);
    int released = 0;
    FAILS(mimo_vl_image_from_borrowed_rgb(28, 28, pixels, 28, count_up, &released, &image, &error),
          MIMO_VL_STATUS_IMAGE, "28x28");
    FAILS(mimo_vl_image_from_borrowed_rgb(28, 28, pixels, sizeof pixels, NULL, NULL, &image, &error),
          MIMO_VL_STATUS_OPTION, "release");
    CHECK(released == 0);
    OK(mimo_vl_image_from_borrowed_rgb(28, 28, pixels, sizeof pixels, count_up, &released, &image, &error));
    CHECK(mimo_vl_image_pixels(image) == pixels);
    mimo_vl_prompt *prompt = new_prompt(image);
    mimo_vl_image_free(image);
    OK(mimo_vl_session_ask(session, prompt, options, &answer, &error));
    mimo_vl_prompt_free(prompt);
    CHECK(released == 0);
    mimo_vl_session_free(session);
    CHECK(released == 1);
    mimo_vl_answer_free(answer);
    mimo_vl_generate_options_free(options);
}

static void videos_come_from_frames_and_files(const mimo_vl_model *model) {
    mimo_vl_error *error = NULL;
    mimo_vl_image *frames[4], *frame;
    mimo_vl_video *video;
    mimo_vl_prompt *prompt = mimo_vl_prompt_new_user();
    mimo_vl_session *session = new_session(model);
    mimo_vl_video_options *options = mimo_vl_video_options_new();
    for (int index = 0; index < 4; index++) {
        frames[index] = open_image();
    }
    FAILS(mimo_vl_video_from_frames((const mimo_vl_image *const *)frames, 4, 0.0, &video, &error),
          MIMO_VL_STATUS_OPTION, "fps");
    FAILS(mimo_vl_video_from_frames((const mimo_vl_image *const *)frames, 0, 2.0, &video, &error),
          MIMO_VL_STATUS_IMAGE, "frames");
    FAILS(mimo_vl_video_from_frames(NULL, 4, 2.0, &video, &error), MIMO_VL_STATUS_OPTION, "frames");
    OK(mimo_vl_video_from_frames((const mimo_vl_image *const *)frames, 4, 2.0, &video, &error));
    CHECK(mimo_vl_video_frame_count(video) == 4 && mimo_vl_video_fps(video) == 2.0);
    CHECK(mimo_vl_video_timestamp(video, 3) == 1.5 && isnan(mimo_vl_video_timestamp(video, 4)));
    OK(mimo_vl_video_frame(video, 0, &frame, &error));
    CHECK(mimo_vl_image_pixels(frame) == mimo_vl_image_pixels(frames[0]));
    mimo_vl_image_free(frame);
    FAILS(mimo_vl_video_frame(video, 4, &frame, &error), MIMO_VL_STATUS_OPTION, "index");
    OK(mimo_vl_video_set_max_pixels(video, 28 * 28 * 8, &error));
    OK(mimo_vl_prompt_add_video(prompt, video, &error));
    OK(mimo_vl_prompt_add_text(prompt, PROMPT, strlen(PROMPT), &error));
    free(ask(session, prompt));
    mimo_vl_video_free(video);
    FAILS(mimo_vl_prompt_add_video(prompt, NULL, &error), MIMO_VL_STATUS_OPTION, "video");

    OK(mimo_vl_video_options_set_fps(options, 2.0, &error));
    OK(mimo_vl_video_options_set_frames(options, 4, &error));
    OK(mimo_vl_video_options_set_frame_limits(options, 2, 8, &error));
    OK(mimo_vl_video_options_set_span(options, 0.0, 1.0, &error));
    OK(mimo_vl_video_options_set_total_pixels(options, 1000000, &error));
    OK(mimo_vl_video_options_set_max_pixels(options, 100000, &error));
    OK(mimo_vl_video_options_set_timeout(options, 60.0, &error));
    OK(mimo_vl_video_options_set_cancel(options, NULL, &error));
    OK(mimo_vl_video_options_set_progress(options, NULL, NULL, &error));
    FAILS(mimo_vl_video_from_path("no/such/film.mp4", options, &video, &error), MIMO_VL_STATUS_IO, "no/such/film.mp4");
    mimo_vl_video_options_free(options);
    for (int index = 0; index < 4; index++) {
        mimo_vl_image_free(frames[index]);
    }
    mimo_vl_prompt_free(prompt);
    mimo_vl_session_free(session);
}

static void features_have_a_row_for_each_token(const mimo_vl_model *model) {
    mimo_vl_error *error = NULL;
    mimo_vl_features *features;
    mimo_vl_image *image = open_image();
    OK(mimo_vl_model_features(model, image, &features, &error));
    CHECK(mimo_vl_features_rows(features) > 0 && mimo_vl_features_width(features) > 0);
    const float *data = mimo_vl_features_data(features);
    size_t values = mimo_vl_features_rows(features) * mimo_vl_features_width(features);
    bool zero = true;
    for (size_t index = 0; index < values; index++) {
        CHECK(isfinite(data[index]));
        zero = zero && data[index] == 0;
    }
    CHECK(!zero);
    mimo_vl_features_free(features);
    FAILS(mimo_vl_model_features(model, NULL, &features, &error), MIMO_VL_STATUS_OPTION, "image");
    mimo_vl_image_free(image);
}

static void on_log(void *data, int32_t level, mimo_vl_str message) {
    struct calls *calls = data;
    CHECK(MIMO_VL_LOG_LEVEL_OFF < level && level <= MIMO_VL_LOG_LEVEL_DEBUG);
    calls->events += strstr(message.data, "answered") != NULL;
}

static void the_log_callback_gets_messages(const mimo_vl_model *model) {
    mimo_vl_error *error = NULL;
    mimo_vl_session *session = new_session(model);
    mimo_vl_prompt *prompt = new_prompt(NULL);
    struct calls calls = {0};
    FAILS(mimo_vl_set_log_callback(6, on_log, &calls, &error), MIMO_VL_STATUS_OPTION, "level");
    OK(mimo_vl_set_log_callback(MIMO_VL_LOG_LEVEL_DEBUG, on_log, &calls, &error));
    free(ask(session, prompt));
    CHECK(calls.events == 1);
    OK(mimo_vl_set_log_callback(MIMO_VL_LOG_LEVEL_OFF, NULL, NULL, &error));
    free(ask(session, prompt));
    CHECK(calls.events == 1);
    mimo_vl_prompt_free(prompt);
    mimo_vl_session_free(session);
}

/* NULL handles are errors or no-ops. */
static void null_handles_are_safe(void) {
    mimo_vl_error *error = NULL;
    mimo_vl_session *session;
    mimo_vl_plan *plan;
    mimo_vl_video *video;
    mimo_vl_task *task;
    mimo_vl_action *action;
    FAILS(mimo_vl_session_fork(NULL, &session, &error), MIMO_VL_STATUS_OPTION, "session");
    FAILS(mimo_vl_session_plan(NULL, NULL, NULL, &plan, &error), MIMO_VL_STATUS_OPTION, "session");
    FAILS(mimo_vl_video_from_path(NULL, NULL, &video, &error), MIMO_VL_STATUS_OPTION, "path");
    FAILS(mimo_vl_task_new(NULL, 2, &task, &error), MIMO_VL_STATUS_OPTION, "goal");
    FAILS(mimo_vl_answer_action(NULL, &action, &error), MIMO_VL_STATUS_OPTION, "answer");
    FAILS(mimo_vl_stream_end_thinking(NULL, &error), MIMO_VL_STATUS_OPTION, "stream");
    CHECK(!mimo_vl_plan_fits(NULL) && mimo_vl_plan_prompt_tokens(NULL) == 0 && mimo_vl_plan_part_count(NULL) == 0);
    CHECK(mimo_vl_video_frame_count(NULL) == 0 && mimo_vl_features_data(NULL) == NULL);
    CHECK(!mimo_vl_answer_complete(NULL));
    CHECK(mimo_vl_answer_region(NULL, 0) == NULL && mimo_vl_stream_region(NULL) == NULL);
    CHECK(!mimo_vl_region_label(NULL, NULL) && mimo_vl_region_image(NULL) == 0 && !mimo_vl_region_clamped(NULL));
    FAILS(mimo_vl_video_options_set_fps(NULL, 1.0, &error), MIMO_VL_STATUS_OPTION, "options");
    FAILS(mimo_vl_generate_options_set_timeout(NULL, 1.0, &error), MIMO_VL_STATUS_OPTION, "options");
    FAILS(mimo_vl_load_options_set_feature_cache(NULL, 0, &error), MIMO_VL_STATUS_OPTION, "options");
    mimo_vl_plan_free(NULL);
    mimo_vl_video_free(NULL);
    mimo_vl_video_options_free(NULL);
    mimo_vl_task_free(NULL);
    mimo_vl_action_free(NULL);
    mimo_vl_features_free(NULL);
}

int main(int arguments, char **values) {
    char file[4096];
    read_arguments(arguments, values);
    CHECK(snprintf(file, sizeof file, "%s.session", values[0]) < (int)sizeof file);
    null_handles_are_safe();
    mimo_vl_model *model = load_model();
    plans_agree_with_answers(model);
    forked_and_loaded_sessions_answer_alike(model, file);
    callbacks_are_called(model);
    options_reach_the_answer(model);
    alternatives_come_with_their_logprobs(model);
    pixels_come_in_any_order();
    lent_pixels_are_released(model);
    videos_come_from_frames_and_files(model);
    features_have_a_row_for_each_token(model);
    the_log_callback_gets_messages(model);
    mimo_vl_model_free(model);
    return 0;
}
