/* A client of libmimo_vl: batches, conversations from messages, PDF files, loading from a hub.
 *
 *     documents CHECKPOINT IMAGE */
#include <math.h>
#include <stdint.h>

#include "check.h"

static int32_t count_calls(void *calls, mimo_vl_stage stage, uint64_t done, uint64_t total) {
    CHECK(stage == MIMO_VL_STAGE_DECODE && done <= total);
    ++*(int *)calls;
    return MIMO_VL_CONTINUE;
}

static int32_t cancel_at_once(void *data, mimo_vl_stage stage, uint64_t done, uint64_t total) {
    (void)data, (void)stage, (void)done, (void)total;
    return MIMO_VL_CANCEL;
}

/* A file of two pages of 200 by 100 points, each with a black box from (20, 10) to (60, 40) points, y upwards. */
static void write_pdf(const char *path) {
    static const char *const objects[] = {
        "<</Type/Catalog/Pages 2 0 R>>",
        "<</Type/Pages/Kids[3 0 R 4 0 R]/Count 2>>",
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 100]/Contents 5 0 R>>",
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 100]/Contents 5 0 R>>",
        "<</Length 16>>stream\n20 10 40 30 re f\nendstream",
    };
    long offsets[5];
    FILE *file = fopen(path, "wb");
    CHECK(file != NULL);
    fprintf(file, "%%PDF-1.4\n");
    for (int index = 0; index < 5; index++) {
        offsets[index] = ftell(file);
        fprintf(file, "%d 0 obj%s endobj\n", index + 1, objects[index]);
    }
    long table = ftell(file);
    fprintf(file, "xref\n0 6\n0000000000 65535 f \n");
    for (int index = 0; index < 5; index++) fprintf(file, "%010ld 00000 n \n", offsets[index]);
    fprintf(file, "trailer<</Size 6/Root 1 0 R>>\nstartxref\n%ld\n%%%%EOF", table);
    CHECK(fclose(file) == 0);
}

static void pdf_pages_are_images_with_points(const mimo_vl_model *model, const char *path) {
    mimo_vl_error *error = NULL;
    mimo_vl_pdf_options *options = mimo_vl_pdf_options_new();
    mimo_vl_pdf *pdf;
    mimo_vl_image *image;
    mimo_vl_answer *answer;
    int calls = 0;
    double size[2], points[4];
    const double box[4] = {20, 60, 60, 90};
    OK(mimo_vl_pdf_options_set_pages(options, 2, 2, &error));
    OK(mimo_vl_pdf_options_set_dpi(options, 72, &error));
    OK(mimo_vl_pdf_options_set_max_pixels(options, 1000000, &error));
    OK(mimo_vl_pdf_options_set_max_pages(options, 1, &error));
    OK(mimo_vl_pdf_options_set_password(options, "not needed", &error));
    OK(mimo_vl_pdf_options_set_progress(options, count_calls, &calls, &error));
    OK(mimo_vl_pdf_from_path(path, options, &pdf, &error));
    CHECK(calls > 0 && mimo_vl_pdf_page_count(pdf) == 1 && mimo_vl_pdf_page_number(pdf, 0) == 2);
    CHECK(mimo_vl_pdf_page_size(pdf, 0, size) && size[0] == 200 && size[1] == 100);
    CHECK(mimo_vl_pdf_page_box_to_points(pdf, 0, box, points));
    CHECK(fabs(points[0] - 20) < 1e-6 && fabs(points[1] - 10) < 1e-6);
    CHECK(fabs(points[2] - 60) < 1e-6 && fabs(points[3] - 40) < 1e-6);
    OK(mimo_vl_pdf_page_image(pdf, 0, &image, &error));
    CHECK(mimo_vl_image_width(image) == 200 && mimo_vl_image_height(image) == 100);
    CHECK(mimo_vl_image_pixels(image)[3 * (75 * 200 + 40)] == 0);
    CHECK(mimo_vl_image_pixels(image)[3 * (20 * 200 + 40)] == 255);

    CHECK(mimo_vl_pdf_page_number(pdf, 1) == 0 && !mimo_vl_pdf_page_size(pdf, 1, size));
    CHECK(mimo_vl_pdf_page_size(pdf, 0, NULL) && !mimo_vl_pdf_page_size(NULL, 0, size));
    CHECK(!mimo_vl_pdf_page_box_to_points(pdf, 0, NULL, points));
    CHECK(mimo_vl_pdf_page_count(NULL) == 0);
    mimo_vl_image *none;
    FAILS(mimo_vl_pdf_page_image(pdf, 1, &none, &error), MIMO_VL_STATUS_OPTION, "index");

    mimo_vl_session *session = new_session(model);
    mimo_vl_prompt *prompt = new_prompt(image);
    mimo_vl_generate_options *boxes = max_tokens(200);
    OK(mimo_vl_generate_options_set_grammar(boxes, MIMO_VL_GRAMMAR_KIND_BOXES, "", 0, &error));
    OK(mimo_vl_generate_options_set_temperature(boxes, 20.0f, &error));
    size_t found = 0;
    for (uint64_t seed = 0; found == 0; seed++) {
        CHECK(seed < 50);
        OK(mimo_vl_session_reset(session, &error));
        OK(mimo_vl_generate_options_set_seed(boxes, seed, &error));
        OK(mimo_vl_session_ask(session, prompt, boxes, &answer, &error));
        CHECK(mimo_vl_answer_seconds(answer, MIMO_VL_TIMING_MEDIA) > 0);
        for (size_t index = 0; index < mimo_vl_answer_region_count(answer); index++, found++) {
            const mimo_vl_region *region = mimo_vl_answer_region(answer, index);
            double pixels[4], on_page[4];
            CHECK(mimo_vl_region_page(region) == 2);
            CHECK(mimo_vl_region_box(region, MIMO_VL_FRAME_PIXELS, pixels));
            CHECK(mimo_vl_region_box(region, MIMO_VL_FRAME_PAGE, on_page));
            CHECK(mimo_vl_pdf_page_box_to_points(pdf, 0, pixels, points));
            for (size_t edge = 0; edge < 4; edge++) CHECK(fabs(points[edge] - on_page[edge]) < 1e-6);
        }
        mimo_vl_answer_free(answer);
    }
    mimo_vl_pdf_free(pdf);
    mimo_vl_generate_options_free(boxes);
    mimo_vl_prompt_free(prompt);
    mimo_vl_session_free(session);
    mimo_vl_image_free(image);

    FAILS(mimo_vl_pdf_from_path("no/such.pdf", NULL, &pdf, &error), MIMO_VL_STATUS_IO, "no/such.pdf");
    FAILS(mimo_vl_pdf_from_path(image_path, NULL, &pdf, &error), MIMO_VL_STATUS_IMAGE, "PDF");
    OK(mimo_vl_pdf_options_set_progress(options, cancel_at_once, NULL, &error));
    FAILS(mimo_vl_pdf_from_path(path, options, &pdf, &error), MIMO_VL_STATUS_CANCELLED, "cancelled");
    OK(mimo_vl_pdf_options_set_progress(options, NULL, NULL, &error));
    mimo_vl_cancel_token *token = mimo_vl_cancel_token_new();
    mimo_vl_cancel_token_cancel(token);
    OK(mimo_vl_pdf_options_set_cancel(options, token, &error));
    mimo_vl_cancel_token_free(token);
    FAILS(mimo_vl_pdf_from_path(path, options, &pdf, &error), MIMO_VL_STATUS_CANCELLED, "cancelled");
    OK(mimo_vl_pdf_options_set_cancel(options, NULL, &error));
    OK(mimo_vl_pdf_options_set_timeout(options, 1e-9, &error));
    FAILS(mimo_vl_pdf_from_path(path, options, &pdf, &error), MIMO_VL_STATUS_TIMEOUT, "time limit");
    OK(mimo_vl_pdf_options_set_timeout(options, 0, &error));
    OK(mimo_vl_pdf_options_set_pages(options, 3, 3, &error));
    FAILS(mimo_vl_pdf_from_path(path, options, &pdf, &error), MIMO_VL_STATUS_OPTION, "page");
    FAILS(mimo_vl_pdf_from_path(path, NULL, NULL, &error), MIMO_VL_STATUS_OPTION, "pdf_out");
    FAILS(mimo_vl_pdf_options_set_password(options, "\xff", &error), MIMO_VL_STATUS_OPTION, "password");
    FAILS(mimo_vl_pdf_options_set_dpi(NULL, 1, &error), MIMO_VL_STATUS_OPTION, "options");
    mimo_vl_pdf_options_free(options);
    mimo_vl_pdf_free(NULL);
}

static void a_batch_gives_the_answers_of_sessions(const mimo_vl_model *model, const mimo_vl_image *image) {
    mimo_vl_error *error = NULL;
    mimo_vl_batch *batch;
    mimo_vl_prompt *prompt = new_prompt(image), *empty = mimo_vl_prompt_new_user();
    mimo_vl_generate_options *options = max_tokens(12);
    mimo_vl_session *session = new_session(model);
    mimo_vl_answer *alone, *answer;
    mimo_vl_event_kind kind;
    mimo_vl_str text, expected;
    size_t number, ends = 0, failures = 0;
    OK(mimo_vl_session_ask(session, prompt, options, &alone, &error));
    mimo_vl_answer_text(alone, &expected);

    mimo_vl_cancel_token *token = mimo_vl_cancel_token_new();
    OK(mimo_vl_batch_new(model, 2, token, &batch, &error));
    for (size_t index = 0; index < 4; index++) {
        OK(mimo_vl_batch_add(batch, index == 1 ? empty : prompt, options, &number, &error));
        CHECK(number == index);
    }
    OK(mimo_vl_batch_remove(batch, 3, &error));
    for (;;) {
        mimo_vl_status status = mimo_vl_batch_next(batch, &number, &kind, &text, &error);
        if (status != MIMO_VL_STATUS_OK) {
            fails_at(__LINE__, status, MIMO_VL_STATUS_PROMPT, "empty", &error);
            CHECK(number == 1);
            failures++;
        } else if (number == SIZE_MAX) {
            break;
        } else {
            CHECK(number == 0 || number == 2);
            CHECK(mimo_vl_batch_region(batch) == NULL || kind == MIMO_VL_EVENT_KIND_REGION);
            ends += kind == MIMO_VL_EVENT_KIND_END;
        }
    }
    CHECK(ends == 2 && failures == 1);
    for (number = 0; number < 3; number += 2) {
        OK(mimo_vl_batch_answer(batch, number, &answer, &error));
        mimo_vl_answer_text(answer, &text);
        CHECK(text.len == expected.len && memcmp(text.data, expected.data, text.len) == 0);
        mimo_vl_answer_free(answer);
        FAILS(mimo_vl_batch_answer(batch, number, &answer, &error), MIMO_VL_STATUS_OPTION, "number");
    }

    /* The token ends all requests, and outlives the batch. */
    OK(mimo_vl_batch_add(batch, prompt, options, &number, &error));
    mimo_vl_cancel_token_cancel(token);
    FAILS(mimo_vl_batch_next(batch, &number, &kind, NULL, &error), MIMO_VL_STATUS_CANCELLED, "cancelled");
    CHECK(number == 4);
    mimo_vl_batch_free(batch);
    mimo_vl_cancel_token_cancel(token);
    mimo_vl_cancel_token_free(token);

    /* A token of one request does not end the others. */
    token = mimo_vl_cancel_token_new();
    mimo_vl_generate_options *cancelled = max_tokens(12);
    OK(mimo_vl_generate_options_set_cancel(cancelled, token, &error));
    OK(mimo_vl_batch_new(model, 2, NULL, &batch, &error));
    OK(mimo_vl_batch_add(batch, prompt, cancelled, &number, &error));
    OK(mimo_vl_batch_add(batch, prompt, options, &number, &error));
    mimo_vl_generate_options_free(cancelled);
    mimo_vl_cancel_token_cancel(token);
    mimo_vl_cancel_token_free(token);
    FAILS(mimo_vl_batch_next(batch, &number, &kind, NULL, &error), MIMO_VL_STATUS_CANCELLED, "cancelled");
    CHECK(number == 0);
    do {
        OK(mimo_vl_batch_next(batch, &number, &kind, NULL, &error));
        CHECK(number == 1);
    } while (kind != MIMO_VL_EVENT_KIND_END);
    mimo_vl_batch_free(batch);

    FAILS(mimo_vl_batch_new(NULL, 1, NULL, &batch, &error), MIMO_VL_STATUS_OPTION, "model");
    CHECK(batch == NULL);
    FAILS(mimo_vl_batch_add(NULL, prompt, NULL, &number, &error), MIMO_VL_STATUS_OPTION, "batch");
    FAILS(mimo_vl_batch_next(NULL, &number, &kind, NULL, &error), MIMO_VL_STATUS_OPTION, "batch");
    CHECK(mimo_vl_batch_region(NULL) == NULL);
    FAILS(mimo_vl_batch_remove(NULL, 0, &error), MIMO_VL_STATUS_OPTION, "batch");
    mimo_vl_batch_free(NULL);
    mimo_vl_answer_free(alone);
    mimo_vl_session_free(session);
    mimo_vl_generate_options_free(options);
    mimo_vl_prompt_free(empty);
    mimo_vl_prompt_free(prompt);
}

/* A conversation given as messages has the answer of the same conversation in a session. */
static void messages_continue_a_conversation(const mimo_vl_model *model, const mimo_vl_image *image) {
    mimo_vl_error *error = NULL;
    mimo_vl_session *session = new_session(model), *other = new_session(model);
    mimo_vl_prompt *first = new_prompt(image), *next = mimo_vl_prompt_new_user(), *messages = mimo_vl_prompt_new_user();
    /* A choice, so that the tokens of the answer are those of its text: random weights give invalid UTF-8, too. */
    mimo_vl_generate_options *options = max_tokens(8), *choice = max_tokens(8);
    mimo_vl_answer *earlier, *expected, *answer;
    mimo_vl_str text, again;
    OK(mimo_vl_generate_options_set_grammar(choice, MIMO_VL_GRAMMAR_KIND_CHOICE, "yes\nno", 6, &error));
    OK(mimo_vl_prompt_set_thinking(first, MIMO_VL_THINKING_AUTO, &error));
    OK(mimo_vl_session_ask(session, first, choice, &earlier, &error));
    mimo_vl_answer_text(earlier, &text);
    OK(mimo_vl_prompt_add_text(next, "And now?", 8, &error));
    OK(mimo_vl_session_ask(session, next, options, &expected, &error));

    OK(mimo_vl_prompt_begin_message(messages, MIMO_VL_ROLE_USER, &error));
    OK(mimo_vl_prompt_add_image(messages, image, &error));
    OK(mimo_vl_prompt_add_text(messages, PROMPT, strlen(PROMPT), &error));
    OK(mimo_vl_prompt_begin_message(messages, MIMO_VL_ROLE_ASSISTANT, &error));
    OK(mimo_vl_prompt_add_text(messages, text.data, text.len, &error));
    OK(mimo_vl_prompt_begin_message(messages, MIMO_VL_ROLE_USER, &error));
    OK(mimo_vl_prompt_add_text(messages, "And now?", 8, &error));
    OK(mimo_vl_session_ask(other, messages, options, &answer, &error));
    CHECK(mimo_vl_answer_prompt_tokens(answer) == mimo_vl_answer_prompt_tokens(expected));
    mimo_vl_answer_text(expected, &text);
    mimo_vl_answer_text(answer, &again);
    CHECK(text.len == again.len && memcmp(text.data, again.data, text.len) == 0);
    FAILS(mimo_vl_prompt_begin_message(messages, 9, &error), MIMO_VL_STATUS_OPTION, "role");
    FAILS(mimo_vl_prompt_begin_message(NULL, MIMO_VL_ROLE_USER, &error), MIMO_VL_STATUS_OPTION, "prompt");
    mimo_vl_answer_free(answer);
    mimo_vl_answer_free(expected);
    mimo_vl_answer_free(earlier);
    mimo_vl_generate_options_free(choice);
    mimo_vl_generate_options_free(options);
    mimo_vl_prompt_free(messages);
    mimo_vl_prompt_free(next);
    mimo_vl_prompt_free(first);
    mimo_vl_session_free(other);
    mimo_vl_session_free(session);
}

static void offline_loading_fails_without_a_cache(void) {
    mimo_vl_error *error = NULL;
    mimo_vl_load_options *options = mimo_vl_load_options_new();
    mimo_vl_model *model;
    OK(mimo_vl_load_options_set_hub_revision(options, "main", &error));
    OK(mimo_vl_load_options_set_hub_token(options, "token", &error));
    OK(mimo_vl_load_options_set_hub_endpoint(options, "http://127.0.0.1:1", &error));
    OK(mimo_vl_load_options_set_hub_cache_dir(options, "no/such/cache", &error));
    OK(mimo_vl_load_options_set_hub_offline(options, true, &error));
    FAILS(mimo_vl_model_load("some/model", options, &model, &error), MIMO_VL_STATUS_HUB, "some/model");
    FAILS(mimo_vl_load_options_set_hub_revision(options, "\xff", &error), MIMO_VL_STATUS_OPTION, "revision");
    FAILS(mimo_vl_load_options_set_hub_token(options, NULL, &error), MIMO_VL_STATUS_OPTION, "token");
    FAILS(mimo_vl_load_options_set_hub_endpoint(NULL, "", &error), MIMO_VL_STATUS_OPTION, "options");
    FAILS(mimo_vl_load_options_set_hub_cache_dir(options, NULL, &error), MIMO_VL_STATUS_OPTION, "cache_dir");
    FAILS(mimo_vl_load_options_set_hub_offline(NULL, true, &error), MIMO_VL_STATUS_OPTION, "options");
    mimo_vl_load_options_free(options);
}

int main(int count, char **arguments) {
    mimo_vl_error *error = NULL;
    mimo_vl_image *image;
    char path[4096];
    read_arguments(count, arguments);
    snprintf(path, sizeof path, "%s.pdf", arguments[0]);
    mimo_vl_model *model = load_model();
    OK(mimo_vl_image_from_path(image_path, &image, &error));
    write_pdf(path);
    pdf_pages_are_images_with_points(model, path);
    remove(path);
    a_batch_gives_the_answers_of_sessions(model, image);
    messages_continue_a_conversation(model, image);
    offline_loading_fails_without_a_cache();
    mimo_vl_image_free(image);
    mimo_vl_model_free(model);
    return 0;
}
