/* A client of libmimo_vl: images, streams, lifetimes of handles, threads.
 *
 *     client CHECKPOINT IMAGE
 *
 * Prints its answer about the image. Exits with status 0 if every function behaves as include/mimo_vl.h documents, else
 * at the first failed check. Also run under the address and undefined-behaviour sanitizers. */
#include <math.h>
#include <pthread.h>

#include "check.h"

/* The answer of a new session about an image, as a string that the caller frees. Unless NULL, `media` and `encode` get
 * the seconds of image decoding and of the vision tower. */
static char *timed_answer(const mimo_vl_model *model, const mimo_vl_image *image, double *media, double *encode) {
    mimo_vl_error *error = NULL;
    mimo_vl_session *session = new_session(model);
    mimo_vl_prompt *prompt = new_prompt(image);
    mimo_vl_generate_options *options = max_tokens(12);
    mimo_vl_answer *answer;
    mimo_vl_str text;
    OK(mimo_vl_session_ask(session, prompt, options, &answer, &error));
    if (media != NULL) *media = mimo_vl_answer_seconds(answer, MIMO_VL_TIMING_MEDIA);
    if (encode != NULL) *encode = mimo_vl_answer_seconds(answer, MIMO_VL_TIMING_ENCODE);
    mimo_vl_answer_text(answer, &text);
    CHECK(text.data[text.len] == '\0');
    char *copy = malloc(text.len + 1);
    CHECK(copy != NULL);
    memcpy(copy, text.data, text.len + 1);
    mimo_vl_generate_options_free(options);
    mimo_vl_answer_free(answer);
    mimo_vl_prompt_free(prompt);
    mimo_vl_session_free(session);
    return copy;
}

static char *answer_about(const mimo_vl_model *model, const mimo_vl_image *image) {
    return timed_answer(model, image, NULL, NULL);
}

static void the_build_describes_itself(void) {
    int major, minor, patch;
    CHECK(mimo_vl_abi_version() == MIMO_VL_ABI_VERSION);
    CHECK(sscanf(mimo_vl_version(), "%d.%d.%d", &major, &minor, &patch) == 3);
    CHECK(strstr(mimo_vl_devices(), "cpu") != NULL);
}

/* Images from raw pixels, from bytes and from a path. */
static void images_have_three_sources(const mimo_vl_model *model) {
    enum { WIDTH = 60, HEIGHT = 45, STRIDE = 3 * WIDTH + 12, HEAD = 54 };
    static uint8_t rgb[STRIDE * HEIGHT];
    static uint8_t bmp[HEAD + 3 * WIDTH * HEIGHT] = {'B', 'M'};
    mimo_vl_error *error = NULL;
    mimo_vl_image *raw, *decoded, *opened;
    /* The header of a BMP file: offset of the pixels, size of the second header, width, height, planes, bits. */
    bmp[2] = sizeof bmp & 255, bmp[3] = sizeof bmp >> 8;
    bmp[10] = HEAD, bmp[14] = 40, bmp[18] = WIDTH, bmp[22] = HEIGHT, bmp[26] = 1, bmp[28] = 24;
    for (int y = 0; y < HEIGHT; y++) {
        for (int x = 0; x < WIDTH; x++) {
            uint8_t *from = rgb + y * STRIDE + 3 * x, *to = bmp + HEAD + 3 * ((HEIGHT - 1 - y) * WIDTH + x);
            to[2] = from[0] = (uint8_t)(4 * x);
            to[1] = from[1] = (uint8_t)(5 * y);
            to[0] = from[2] = (uint8_t)(x ^ y);
        }
    }
    OK(mimo_vl_image_from_rgb(WIDTH, HEIGHT, STRIDE, rgb, STRIDE * (HEIGHT - 1) + 3 * WIDTH, &raw, &error));
    OK(mimo_vl_image_from_bytes(bmp, sizeof bmp, &decoded, &error));
    CHECK(mimo_vl_image_width(raw) == WIDTH && mimo_vl_image_height(raw) == HEIGHT);
    CHECK(mimo_vl_image_width(decoded) == WIDTH && mimo_vl_image_height(decoded) == HEIGHT);
    memset(rgb, 0, sizeof rgb);
    double media, encode;
    char *first = timed_answer(model, raw, &media, &encode);
    CHECK(media == 0 && encode > 0);
    char *second = timed_answer(model, decoded, &media, &encode);
    CHECK(strcmp(first, second) == 0);
    /* Equal pixels: the features come from the model's cache. */
    CHECK(media > 0 && encode == 0);
    free(first);
    free(second);

    OK(mimo_vl_image_from_path(image_path, &opened, &error));
    char *answer = answer_about(model, opened);
    printf("%s\n", answer);
    OK(mimo_vl_image_set_min_pixels(opened, 28 * 28, &error));
    OK(mimo_vl_image_set_max_pixels(opened, 56 * 56, &error));
    free(answer_about(model, opened));
    free(answer);
    mimo_vl_image_free(opened);
    mimo_vl_image_free(decoded);
    mimo_vl_image_free(raw);
}

static void stream_and_ask_give_the_same_answer(const mimo_vl_model *model) {
    mimo_vl_error *error = NULL;
    mimo_vl_session *session = new_session(model);
    mimo_vl_prompt *prompt = new_prompt(NULL);
    mimo_vl_generate_options *options = max_tokens(12);
    mimo_vl_stream *stream;
    mimo_vl_answer *answer;
    mimo_vl_event_kind kind;
    mimo_vl_str text, expected, thinking;
    char streamed[4096] = "", streamed_thinking[4096] = "";

    OK(mimo_vl_session_stream(session, prompt, options, &stream, &error));
    /* A session that streams is busy. */
    FAILS(mimo_vl_session_ask(session, prompt, options, &answer, &error), MIMO_VL_STATUS_OPTION, "session");
    CHECK(answer == NULL);
    FAILS(mimo_vl_session_reset(session, &error), MIMO_VL_STATUS_OPTION, "session");
    do {
        OK(mimo_vl_stream_next(stream, &kind, &text, &error));
        CHECK(kind == MIMO_VL_EVENT_KIND_END ? text.len == 0 : text.len > 0);
        strncat(kind == MIMO_VL_EVENT_KIND_THINKING ? streamed_thinking : streamed, text.data, text.len);
    } while (kind != MIMO_VL_EVENT_KIND_END);
    OK(mimo_vl_stream_next(stream, &kind, &text, &error));
    CHECK(kind == MIMO_VL_EVENT_KIND_END && text.len == 0);
    OK(mimo_vl_stream_finish(stream, &answer, &error));
    mimo_vl_answer_text(answer, &expected);
    CHECK(strcmp(streamed, expected.data) == 0);
    CHECK(mimo_vl_answer_thinking(answer, &thinking) == (streamed_thinking[0] != '\0'));
    CHECK(strcmp(streamed_thinking, thinking.data) == 0);
    bool is_full = mimo_vl_answer_stop_reason(answer) == MIMO_VL_STOP_REASON_MAX_TOKENS;
    CHECK(mimo_vl_answer_tokens(answer) <= 12 && is_full == (mimo_vl_answer_tokens(answer) == 12));
    CHECK(mimo_vl_answer_prompt_tokens(answer) > 5);
    CHECK(mimo_vl_answer_stop_reason(answer) ==
          (mimo_vl_answer_tokens(answer) == 12 ? MIMO_VL_STOP_REASON_MAX_TOKENS : MIMO_VL_STOP_REASON_END_OF_TEXT));
    double decode = mimo_vl_answer_seconds(answer, MIMO_VL_TIMING_DECODE);
    CHECK(mimo_vl_answer_seconds(answer, MIMO_VL_TIMING_LOAD) > 0);
    CHECK(mimo_vl_answer_seconds(answer, MIMO_VL_TIMING_PREPROCESS) > 0);
    CHECK(mimo_vl_answer_seconds(answer, MIMO_VL_TIMING_ENCODE) == 0);
    CHECK(mimo_vl_answer_seconds(answer, MIMO_VL_TIMING_PREFILL) > 0);
    CHECK(decode > 0);
    CHECK(isnan(mimo_vl_answer_seconds(answer, 99)));
    /* The last token before a limit does not go through the model. */
    bool limited = mimo_vl_answer_stop_reason(answer) == MIMO_VL_STOP_REASON_MAX_TOKENS;
    double steps = (double)mimo_vl_answer_tokens(answer) - (limited ? 1 : 0);
    CHECK(fabs(mimo_vl_answer_decode_tokens_per_second(answer) * decode - steps) < 1e-6);
    mimo_vl_answer_free(answer);
    FAILS(mimo_vl_stream_finish(stream, &answer, &error), MIMO_VL_STATUS_OPTION, "stream");

    /* The finished stream releases the session. */
    OK(mimo_vl_session_reset(session, &error));
    OK(mimo_vl_session_ask(session, prompt, options, &answer, &error));
    mimo_vl_answer_text(answer, &expected);
    CHECK(strcmp(streamed, expected.data) == 0);
    mimo_vl_answer_free(answer);
    mimo_vl_stream_free(stream);
    mimo_vl_session_free(session);
    mimo_vl_prompt_free(prompt);
    mimo_vl_generate_options_free(options);
}

/* A stream that is freed early is rolled back; the answer of one that is stopped stays in the conversation. */
static void streams_end_early(const mimo_vl_model *model) {
    mimo_vl_error *error = NULL;
    mimo_vl_session *session = new_session(model);
    mimo_vl_prompt *prompt = new_prompt(NULL);
    mimo_vl_generate_options *options = max_tokens(12);
    mimo_vl_stream *stream;
    mimo_vl_answer *answer;
    mimo_vl_event_kind kind;
    mimo_vl_str text;
    OK(mimo_vl_session_ask(session, prompt, options, &answer, &error));
    size_t before = mimo_vl_answer_prompt_tokens(answer);
    mimo_vl_answer_free(answer);
    OK(mimo_vl_session_reset(session, &error));

    OK(mimo_vl_session_stream(session, prompt, options, &stream, &error));
    OK(mimo_vl_stream_next(stream, &kind, &text, &error));
    mimo_vl_stream_free(stream);
    if (kind == MIMO_VL_EVENT_KIND_END) {
        /* The answer was empty, so the stream had ended. */
        OK(mimo_vl_session_reset(session, &error));
    }
    OK(mimo_vl_session_stream(session, prompt, options, &stream, &error));
    OK(mimo_vl_stream_stop(stream, &error));
    OK(mimo_vl_stream_finish(stream, &answer, &error));
    CHECK(mimo_vl_answer_prompt_tokens(answer) == before);
    CHECK(mimo_vl_answer_stop_reason(answer) == MIMO_VL_STOP_REASON_CANCELLED);
    mimo_vl_answer_free(answer);
    mimo_vl_stream_free(stream);

    OK(mimo_vl_session_ask(session, prompt, options, &answer, &error));
    CHECK(mimo_vl_answer_prompt_tokens(answer) > before);
    mimo_vl_answer_free(answer);
    mimo_vl_session_free(session);
    mimo_vl_prompt_free(prompt);
    mimo_vl_generate_options_free(options);
}

/* A stream outlives model and session, and the answer outlives them all. */
static void handles_are_freed_in_any_order(void) {
    mimo_vl_error *error = NULL;
    mimo_vl_model *model = load_model();
    mimo_vl_session *session = new_session(model);
    mimo_vl_model_free(model);
    mimo_vl_image *image;
    OK(mimo_vl_image_from_path(image_path, &image, &error));
    mimo_vl_prompt *prompt = new_prompt(image);
    mimo_vl_image_free(image);
    mimo_vl_generate_options *options = max_tokens(5);
    mimo_vl_stream *stream, *unfinished;
    OK(mimo_vl_session_stream(session, prompt, options, &stream, &error));
    mimo_vl_session_free(session);
    mimo_vl_prompt_free(prompt);
    mimo_vl_generate_options_free(options);
    mimo_vl_answer *answer;
    OK(mimo_vl_stream_finish(stream, &answer, &error));
    mimo_vl_stream_free(stream);
    mimo_vl_str text;
    mimo_vl_answer_text(answer, &text);
    CHECK(text.data != NULL && strlen(text.data) == text.len);
    mimo_vl_answer_free(answer);

    model = load_model();
    session = new_session(model);
    prompt = new_prompt(NULL);
    OK(mimo_vl_session_stream(session, prompt, NULL, &unfinished, &error));
    mimo_vl_prompt_free(prompt);
    mimo_vl_session_free(session);
    mimo_vl_model_free(model);
    mimo_vl_stream_free(unfinished);
}

static void *answer_in_a_thread(void *model) {
    return answer_about(model, NULL);
}

static void threads_share_a_model(mimo_vl_model *model) {
    pthread_t threads[3];
    char *expected = answer_about(model, NULL);
    for (int index = 0; index < 3; index++) {
        CHECK(pthread_create(&threads[index], NULL, answer_in_a_thread, model) == 0);
    }
    for (int index = 0; index < 3; index++) {
        void *answer;
        CHECK(pthread_join(threads[index], &answer) == 0);
        CHECK(strcmp(answer, expected) == 0);
        free(answer);
    }
    free(expected);
}

static void load_options_take_effect(void) {
    mimo_vl_error *error = NULL;
    mimo_vl_load_options *options = mimo_vl_load_options_new();
    mimo_vl_model *model;
    mimo_vl_str device;
    OK(mimo_vl_load_options_set_device(options, "cpu", &error));
    OK(mimo_vl_load_options_set_weights(options, MIMO_VL_WEIGHT_FORMAT_F32, &error));
    OK(mimo_vl_load_options_set_kv_cache_dtype(options, MIMO_VL_KV_CACHE_DTYPE_INT8, &error));
    OK(mimo_vl_load_options_set_threads(options, 1, &error));
    OK(mimo_vl_load_options_set_max_context(options, 4, &error));
    OK(mimo_vl_model_load(checkpoint, options, &model, &error));
    mimo_vl_load_options_free(options);
    mimo_vl_model_device(model, &device);
    CHECK(strcmp(device.data, "cpu") == 0 && device.len == 3);
    mimo_vl_session *session = new_session(model);
    mimo_vl_prompt *prompt = new_prompt(NULL);
    mimo_vl_answer *answer;
    FAILS(mimo_vl_session_ask(session, prompt, NULL, &answer, &error), MIMO_VL_STATUS_CONTEXT_TOO_LONG, "tokens");
    mimo_vl_prompt_free(prompt);
    mimo_vl_session_free(session);
    mimo_vl_model_free(model);
}

int main(int count, char **arguments) {
    read_arguments(count, arguments);
    the_build_describes_itself();
    load_options_take_effect();
    mimo_vl_model *model = load_model();
    images_have_three_sources(model);
    stream_and_ask_give_the_same_answer(model);
    streams_end_early(model);
    threads_share_a_model(model);
    mimo_vl_model_free(model);
    handles_are_freed_in_any_order();
    return 0;
}
