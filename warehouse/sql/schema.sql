-- The tables of a release: `warehouse.duckdb`, written once and then opened read-only.
--
-- Primary keys are declared where people look rows up. The keys of the two long tables (retrievals and citations) and
-- all references are checked by sql/constraints.sql after loading instead: a release never changes, so one check is
-- enough. With 1 million answers and 3 million citations, declared foreign keys cost 12.5 s and 240 MB more; the check
-- takes 1.6 s and no space.

CREATE TABLE documents (
    collection VARCHAR NOT NULL,
    document_id VARCHAR NOT NULL,
    uri VARCHAR,
    title VARCHAR,
    titled_by_name BOOLEAN,
    media_type VARCHAR,
    content_hash VARCHAR NOT NULL,
    characters BIGINT CHECK (characters >= 0),
    read_at TIMESTAMPTZ,
    url VARCHAR,
    updated_at TIMESTAMPTZ,
    changed_at TIMESTAMPTZ,
    metadata MAP(VARCHAR, VARCHAR[]),
    PRIMARY KEY (collection, document_id)
);
COMMENT ON TABLE documents IS 'The documents of the corpus, as read in this run.';
COMMENT ON COLUMN documents.collection IS 'The collection that the document belongs to.';
COMMENT ON COLUMN documents.document_id IS 'Id of the document, unique within its collection.';
COMMENT ON COLUMN documents.uri IS 'Where the document was read from.';
COMMENT ON COLUMN documents.title IS 'Title of the document.';
COMMENT ON COLUMN documents.titled_by_name IS 'Whether the title is the name of the file, because nothing in the document gave it one.';
COMMENT ON COLUMN documents.media_type IS 'Media type, for example text/markdown.';
COMMENT ON COLUMN documents.content_hash IS 'Hash of the text: it changes when the text does.';
COMMENT ON COLUMN documents.characters IS 'Length of the text in characters.';
COMMENT ON COLUMN documents.read_at IS 'When the document was read (UTC).';
COMMENT ON COLUMN documents.url IS 'Where readers find the document: its own address, or base_url; empty if neither is known.';
COMMENT ON COLUMN documents.updated_at IS 'The date that the document itself gives for its last change (UTC); empty if it gives none.';
COMMENT ON COLUMN documents.changed_at IS 'When a run first saw this content (UTC), whatever the document says.';
COMMENT ON COLUMN documents.metadata IS 'What the document says about itself: front matter, header fields, further columns. document_metadata has one row per value.';

CREATE TABLE chunks (
    collection VARCHAR NOT NULL,
    chunk_id VARCHAR NOT NULL PRIMARY KEY,
    document_id VARCHAR NOT NULL,
    position BIGINT CHECK (position >= 0),
    heading VARCHAR,
    text VARCHAR NOT NULL CHECK (text <> ''),
    content_hash VARCHAR NOT NULL,
    tokens BIGINT CHECK (tokens >= 0),
    url VARCHAR
);
COMMENT ON TABLE chunks IS 'The stored pieces of documents; a retrieved chunk is a passage.';
COMMENT ON COLUMN chunks.collection IS 'The collection of the document.';
COMMENT ON COLUMN chunks.chunk_id IS 'Id of the chunk, unique across collections.';
COMMENT ON COLUMN chunks.document_id IS 'The document that the chunk is part of.';
COMMENT ON COLUMN chunks.position IS 'Position in the document, starting at 0.';
COMMENT ON COLUMN chunks.heading IS 'The headings above the chunk, outermost first.';
COMMENT ON COLUMN chunks.text IS 'The text as the prompt shows it.';
COMMENT ON COLUMN chunks.content_hash IS 'Hash of what the prompt shows of the chunk.';
COMMENT ON COLUMN chunks.tokens IS 'Length in tokens of the embedding model.';
COMMENT ON COLUMN chunks.url IS 'Where readers find the chunk: the address of its document with the anchor of its heading.';

CREATE TABLE questions (
    collection VARCHAR NOT NULL,
    query_key VARCHAR NOT NULL PRIMARY KEY,
    question VARCHAR NOT NULL CHECK (question <> ''),
    normalised VARCHAR NOT NULL,
    origin VARCHAR NOT NULL,
    detail VARCHAR,
    weight DOUBLE CHECK (weight >= 0),
    tags VARCHAR[],
    expected VARCHAR,
    owner VARCHAR,
    metadata MAP(VARCHAR, VARCHAR[]),
    filters MAP(VARCHAR, VARCHAR)
);
COMMENT ON TABLE questions IS 'The anticipated questions.';
COMMENT ON COLUMN questions.collection IS 'The collection in which the question is asked.';
COMMENT ON COLUMN questions.query_key IS 'Hash of the collection, the normalised question and its filters.';
COMMENT ON COLUMN questions.question IS 'The question as it was written.';
COMMENT ON COLUMN questions.normalised IS 'The normalised question, which exact hits compare.';
COMMENT ON COLUMN questions.origin IS 'Where the question comes from: list, curated, golden, journal, corpus or canary.';
COMMENT ON COLUMN questions.detail IS 'The file and line, or the chunk that it was proposed from.';
COMMENT ON COLUMN questions.weight IS 'What the question is worth beside others, 1 if nobody said; the audit and the report weigh by it.';
COMMENT ON COLUMN questions.tags IS 'The team''s own tags.';
COMMENT ON COLUMN questions.expected IS 'Texts that the answer must contain, one a line: the question is then a golden one.';
COMMENT ON COLUMN questions.owner IS 'Who looks after the question.';
COMMENT ON COLUMN questions.metadata IS 'The further columns of the file that the question is from. question_metadata has one row per value.';
COMMENT ON COLUMN questions.filters IS 'The values of the collection''s filters that the question is asked with, by field.';

CREATE TABLE wordings (
    collection VARCHAR NOT NULL,
    query_key VARCHAR NOT NULL,
    wording_key VARCHAR NOT NULL PRIMARY KEY,
    wording VARCHAR NOT NULL CHECK (wording <> ''),
    origin VARCHAR NOT NULL,
    approved_by VARCHAR,
    since TIMESTAMPTZ
);
COMMENT ON TABLE wordings IS 'Further wordings of the questions: each gets the answer of its question. answer_wordings has the questions themselves too.';
COMMENT ON COLUMN wordings.collection IS 'The collection of the question.';
COMMENT ON COLUMN wordings.query_key IS 'The question whose answer it gets.';
COMMENT ON COLUMN wordings.wording_key IS 'The query_key that the wording itself has when it is asked.';
COMMENT ON COLUMN wordings.wording IS 'The wording as it was written.';
COMMENT ON COLUMN wordings.origin IS 'list or curated (the team''s files), journal (visitors; shown to nobody else), model, judge or review (a person).';
COMMENT ON COLUMN wordings.approved_by IS 'The person or the judge who approved it; for those of files, the owner.';
COMMENT ON COLUMN wordings.since IS 'When it was approved, or the first run that had it (UTC).';

CREATE TABLE fences (
    collection VARCHAR NOT NULL,
    query_key VARCHAR NOT NULL,
    text_key VARCHAR NOT NULL,
    text VARCHAR NOT NULL CHECK (text <> ''),
    origin VARCHAR NOT NULL,
    since TIMESTAMPTZ,
    PRIMARY KEY (query_key, text_key)
);
COMMENT ON TABLE fences IS 'Texts near an answer that must not get it.';
COMMENT ON COLUMN fences.collection IS 'The collection of the question.';
COMMENT ON COLUMN fences.query_key IS 'The question whose answer must not be given.';
COMMENT ON COLUMN fences.text_key IS 'The query_key that the text has when it is asked.';
COMMENT ON COLUMN fences.text IS 'The text.';
COMMENT ON COLUMN fences.origin IS 'Where it comes from: model, judge, journal or review.';
COMMENT ON COLUMN fences.since IS 'When that was found (UTC).';

CREATE TABLE retrievals (
    collection VARCHAR NOT NULL,
    query_key VARCHAR NOT NULL,
    rank BIGINT NOT NULL CHECK (rank >= 1),
    chunk_id VARCHAR NOT NULL,
    score DOUBLE,
    dense_rank BIGINT,
    dense_score DOUBLE,
    lexical_rank BIGINT,
    lexical_score DOUBLE,
    in_prompt BOOLEAN NOT NULL
);
COMMENT ON TABLE retrievals IS 'The chunks that retrieval found for each question, and those that its prompt shows around them; one row per chunk.';
COMMENT ON COLUMN retrievals.collection IS 'The collection of the question.';
COMMENT ON COLUMN retrievals.query_key IS 'The question.';
COMMENT ON COLUMN retrievals.rank IS 'Rank after fusion and reranking, starting at 1; chunks shown around a passage follow. Unique within the question.';
COMMENT ON COLUMN retrievals.chunk_id IS 'The retrieved chunk.';
COMMENT ON COLUMN retrievals.score IS 'Score after fusion, or of the ranking that came after it: late interaction, reranker.';
COMMENT ON COLUMN retrievals.dense_rank IS 'Rank in the vector index; empty if not found there.';
COMMENT ON COLUMN retrievals.dense_score IS 'Cosine similarity of question and chunk.';
COMMENT ON COLUMN retrievals.lexical_rank IS 'Rank in the lexical index; empty if not found there.';
COMMENT ON COLUMN retrievals.lexical_score IS 'BM25 score.';
COMMENT ON COLUMN retrievals.in_prompt IS 'Whether the prompt shows the chunk, as a passage or around one.';

CREATE TABLE answers (
    collection VARCHAR NOT NULL,
    query_key VARCHAR NOT NULL PRIMARY KEY,
    fingerprint VARCHAR NOT NULL,
    answer VARCHAR NOT NULL,
    origin VARCHAR NOT NULL CHECK (origin IN ('generated', 'curated', 'edited')),
    status VARCHAR NOT NULL CHECK (status IN ('served', 'withheld')),
    withheld_reason VARCHAR,
    model_id VARCHAR,
    template_id VARCHAR,
    sampling VARCHAR,
    passages_hash VARCHAR,
    finish_reason VARCHAR,
    prompt_tokens BIGINT CHECK (prompt_tokens >= 0),
    completion_tokens BIGINT CHECK (completion_tokens >= 0),
    cached_tokens BIGINT CHECK (cached_tokens >= 0),
    support DOUBLE CHECK (support BETWEEN 0 AND 1),
    invalid_citations BIGINT CHECK (invalid_citations >= 0),
    run_id VARCHAR,
    generated_at TIMESTAMPTZ,
    seconds DOUBLE CHECK (seconds >= 0),
    filters MAP(VARCHAR, VARCHAR),
    citations STRUCT(
        number BIGINT, kind VARCHAR, document_id VARCHAR, title VARCHAR, uri VARCHAR, heading VARCHAR, chunk_id VARCHAR,
        url VARCHAR, metadata MAP(VARCHAR, VARCHAR[])
    )[],
    CHECK (status = 'served' OR coalesce(withheld_reason, '') <> '')
);
COMMENT ON TABLE answers IS 'One answer per question. Visitors only get those with status served.';
COMMENT ON COLUMN answers.collection IS 'The collection of the question.';
COMMENT ON COLUMN answers.query_key IS 'The question that is answered.';
COMMENT ON COLUMN answers.fingerprint IS 'Hash of everything that determines the answer: question, passages, prompt template, model, sampling.';
COMMENT ON COLUMN answers.answer IS 'The text of the answer.';
COMMENT ON COLUMN answers.origin IS 'generated by the model, curated by the team, or edited by a reviewer.';
COMMENT ON COLUMN answers.status IS 'served, or withheld from visitors.';
COMMENT ON COLUMN answers.withheld_reason IS 'Why the answer is withheld.';
COMMENT ON COLUMN answers.model_id IS 'The model that generated the answer; empty for curated answers.';
COMMENT ON COLUMN answers.template_id IS 'The prompt template; empty for curated answers.';
COMMENT ON COLUMN answers.sampling IS 'The sampling parameters as JSON.';
COMMENT ON COLUMN answers.passages_hash IS 'Hash of the prompt''s passages, in order.';
COMMENT ON COLUMN answers.finish_reason IS 'Why generation ended: stop, or length if it was cut off.';
COMMENT ON COLUMN answers.prompt_tokens IS 'Number of tokens in the prompt.';
COMMENT ON COLUMN answers.completion_tokens IS 'Number of tokens in the answer.';
COMMENT ON COLUMN answers.cached_tokens IS 'Prompt tokens that came from the prefix cache.';
COMMENT ON COLUMN answers.support IS 'How much of the answer its passages support, from 0 to 1.';
COMMENT ON COLUMN answers.invalid_citations IS 'Number of references to passages that were not in the prompt.';
COMMENT ON COLUMN answers.run_id IS 'The run that generated the answer, possibly an earlier one.';
COMMENT ON COLUMN answers.generated_at IS 'When the answer was generated (UTC).';
COMMENT ON COLUMN answers.seconds IS 'Seconds from submission to the last token; many answers are generated at once.';
COMMENT ON COLUMN answers.citations IS 'Its rows of citations, with their documents, so that a listing of answers needs no join.';
COMMENT ON COLUMN answers.filters IS 'The filters of the question, by field: only questions with the same get the answer.';

CREATE TABLE citations (
    collection VARCHAR NOT NULL,
    query_key VARCHAR NOT NULL,
    number BIGINT NOT NULL CHECK (number >= 1),
    chunk_id VARCHAR,
    document_id VARCHAR NOT NULL,
    kind VARCHAR NOT NULL CHECK (kind IN ('cited', 'consulted'))
);
COMMENT ON TABLE citations IS 'The passages that an answer refers to (cited), or else had in its prompt (consulted).';
COMMENT ON COLUMN citations.collection IS 'The collection of the question.';
COMMENT ON COLUMN citations.query_key IS 'The question of the answer.';
COMMENT ON COLUMN citations.number IS 'Number of the passage in the prompt, starting at 1; unique within the answer.';
COMMENT ON COLUMN citations.chunk_id IS 'The chunk; empty if a curated answer cites a whole document.';
COMMENT ON COLUMN citations.document_id IS 'The document of the chunk.';
COMMENT ON COLUMN citations.kind IS 'cited if the answer refers to the passage, consulted if it was only in the prompt.';

CREATE TABLE coverage (
    collection VARCHAR NOT NULL,
    query_key VARCHAR NOT NULL PRIMARY KEY,
    score DOUBLE,
    threshold DOUBLE,
    judged DOUBLE
);
COMMENT ON TABLE coverage IS 'How well the corpus covers each question, before anything is answered; the view gaps reads it.';
COMMENT ON COLUMN coverage.collection IS 'The collection of the question.';
COMMENT ON COLUMN coverage.query_key IS 'The question.';
COMMENT ON COLUMN coverage.score IS 'Score of the best passage in the last ranking, for the question in its own words.';
COMMENT ON COLUMN coverage.threshold IS 'The best score that questions about other subjects reach in this collection: below it no passage fits.';
COMMENT ON COLUMN coverage.judged IS 'Highest probability that a passage answers the question, if the language model judged.';

CREATE TABLE models (
    model_id VARCHAR NOT NULL PRIMARY KEY,
    kind VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    revision VARCHAR,
    details VARCHAR
);
COMMENT ON TABLE models IS 'The models used to build this release.';
COMMENT ON COLUMN models.model_id IS 'Model and revision, as part of the fingerprint.';
COMMENT ON COLUMN models.kind IS 'llm, encoder, reranker or verifier.';
COMMENT ON COLUMN models.name IS 'Display name.';
COMMENT ON COLUMN models.revision IS 'Revision or checksum of the weights.';
COMMENT ON COLUMN models.details IS 'Further properties as JSON, for example dimensions.';

CREATE TABLE prompt_templates (
    template_id VARCHAR NOT NULL PRIMARY KEY,
    name VARCHAR,
    text VARCHAR NOT NULL
);
COMMENT ON TABLE prompt_templates IS 'The prompt templates used for the answers of this release.';
COMMENT ON COLUMN prompt_templates.template_id IS 'Hash of the text.';
COMMENT ON COLUMN prompt_templates.name IS 'Name of the file.';
COMMENT ON COLUMN prompt_templates.text IS 'The text of the template.';

CREATE TABLE runs (
    run_id VARCHAR NOT NULL PRIMARY KEY,
    started_at TIMESTAMPTZ,
    finished_at TIMESTAMPTZ,
    status VARCHAR NOT NULL,
    runner VARCHAR,
    documents BIGINT,
    chunks BIGINT,
    questions BIGINT,
    embedded BIGINT,
    embeddings_reused BIGINT,
    generated BIGINT,
    reused BIGINT,
    dropped BIGINT,
    postponed BIGINT,
    rejected BIGINT,
    prompt_tokens BIGINT,
    completion_tokens BIGINT,
    cached_tokens BIGINT,
    batched_prompt_tokens BIGINT,
    batched_completion_tokens BIGINT,
    generation_seconds DOUBLE,
    settings VARCHAR,
    shadow VARCHAR,
    trigger VARCHAR
);
COMMENT ON TABLE runs IS 'The run that built this release and all earlier runs, also those that published nothing.';
COMMENT ON COLUMN runs.run_id IS 'Id of the run; ids sort by time.';
COMMENT ON COLUMN runs.started_at IS 'When the run started (UTC).';
COMMENT ON COLUMN runs.finished_at IS 'When the last stage ended (UTC).';
COMMENT ON COLUMN runs.status IS 'How the run ended: published, failed its audit, failed, interrupted, cancelled, killed or waiting.';
COMMENT ON COLUMN runs.runner IS 'The Beam runner.';
COMMENT ON COLUMN runs.documents IS 'Documents read.';
COMMENT ON COLUMN runs.chunks IS 'Chunks made.';
COMMENT ON COLUMN runs.questions IS 'Anticipated questions.';
COMMENT ON COLUMN runs.embedded IS 'Texts embedded in this run.';
COMMENT ON COLUMN runs.embeddings_reused IS 'Texts whose embedding was known from earlier runs.';
COMMENT ON COLUMN runs.generated IS 'Answers generated in this run.';
COMMENT ON COLUMN runs.reused IS 'Answers known from earlier runs.';
COMMENT ON COLUMN runs.dropped IS 'Answers of the previous release whose question is gone.';
COMMENT ON COLUMN runs.postponed IS 'Questions beyond the budget of the run, left for the next one.';
COMMENT ON COLUMN runs.rejected IS 'Rows in rejects.';
COMMENT ON COLUMN runs.prompt_tokens IS 'Tokens in all prompts of this run.';
COMMENT ON COLUMN runs.completion_tokens IS 'Tokens generated in this run.';
COMMENT ON COLUMN runs.cached_tokens IS 'Prompt tokens that came from the prefix cache.';
COMMENT ON COLUMN runs.batched_prompt_tokens IS 'How many of prompt_tokens a Batch API read, at its lower price.';
COMMENT ON COLUMN runs.batched_completion_tokens IS 'How many of completion_tokens a Batch API generated, at its lower price.';
COMMENT ON COLUMN runs.generation_seconds IS 'Seconds that the language model was at work; not the wait for batches.';
COMMENT ON COLUMN runs.settings IS 'The settings of the run as JSON.';
COMMENT ON COLUMN runs.shadow IS 'The name of a shadow build, which publishes nothing; empty for a run that builds a release.';
COMMENT ON COLUMN runs.trigger IS 'What started the run: schedule, manual, api or follow; empty where an older version did not say.';

CREATE TABLE run_stages (
    run_id VARCHAR NOT NULL,
    stage VARCHAR NOT NULL,
    started_at TIMESTAMPTZ,
    seconds DOUBLE,
    rows BIGINT,
    PRIMARY KEY (run_id, stage)
);
COMMENT ON TABLE run_stages IS 'The stages of a run, with their times.';
COMMENT ON COLUMN run_stages.run_id IS 'The run.';
COMMENT ON COLUMN run_stages.stage IS 'Name of the stage.';
COMMENT ON COLUMN run_stages.started_at IS 'When the stage started (UTC).';
COMMENT ON COLUMN run_stages.seconds IS 'Seconds that the stage took.';
COMMENT ON COLUMN run_stages.rows IS 'Rows that the stage wrote.';

CREATE TABLE changes (
    collection VARCHAR NOT NULL,
    query_key VARCHAR NOT NULL,
    change VARCHAR NOT NULL CHECK (change IN ('reused', 'restored', 'regenerated', 'new', 'dropped')),
    reason VARCHAR,
    previous_fingerprint VARCHAR
);
COMMENT ON TABLE changes IS 'What changed in each answer since the previous release.';
COMMENT ON COLUMN changes.collection IS 'The collection of the question.';
COMMENT ON COLUMN changes.query_key IS 'The question; a dropped one is in the previous release.';
COMMENT ON COLUMN changes.change IS 'reused, restored (different from the previous release, but known from an earlier run), regenerated, new or dropped.';
COMMENT ON COLUMN changes.reason IS 'new question, question removed, not answered, budget, retired, curated, or what changed: passages, prompt, model, sampling.';
COMMENT ON COLUMN changes.previous_fingerprint IS 'The fingerprint in the previous release.';

CREATE TABLE rejects (
    run_id VARCHAR NOT NULL,
    stage VARCHAR NOT NULL,
    collection VARCHAR,
    item VARCHAR,
    reason VARCHAR NOT NULL
);
COMMENT ON TABLE rejects IS 'Items that could not be used, and why; the run continued without them.';
COMMENT ON COLUMN rejects.run_id IS 'The run.';
COMMENT ON COLUMN rejects.stage IS 'The stage that rejected the item.';
COMMENT ON COLUMN rejects.collection IS 'The collection, if known.';
COMMENT ON COLUMN rejects.item IS 'The file, the line or the question.';
COMMENT ON COLUMN rejects.reason IS 'The reason in one sentence.';

CREATE TABLE set_aside (
    collection VARCHAR NOT NULL,
    query_key VARCHAR NOT NULL PRIMARY KEY,
    question VARCHAR NOT NULL,
    origin VARCHAR NOT NULL,
    reason VARCHAR NOT NULL CHECK (reason IN ('budget', 'retired')),
    expected_hits DOUBLE CHECK (expected_hits >= 0),
    tokens BIGINT CHECK (tokens >= 0),
    since DATE,
    last_asked DATE
);
COMMENT ON TABLE set_aside IS 'Questions that the run set aside: beyond its budget, or retired because nobody asks them.';
COMMENT ON COLUMN set_aside.collection IS 'The collection of the question.';
COMMENT ON COLUMN set_aside.query_key IS 'The question''s key; a retired one is not in questions.';
COMMENT ON COLUMN set_aside.question IS 'The question.';
COMMENT ON COLUMN set_aside.origin IS 'Where the question comes from, as in questions.';
COMMENT ON COLUMN set_aside.reason IS 'budget: it waits for the next night. retired: it comes back when it is asked again.';
COMMENT ON COLUMN set_aside.expected_hits IS 'How often it is expected to be asked a day, for one beyond the budget.';
COMMENT ON COLUMN set_aside.tokens IS 'What its answer is expected to cost, prompt included.';
COMMENT ON COLUMN set_aside.since IS 'Since when a retired one was anticipated (UTC).';
COMMENT ON COLUMN set_aside.last_asked IS 'When a retired one was last asked (UTC), if it was.';

CREATE TABLE reviews (
    collection VARCHAR NOT NULL,
    query_key VARCHAR NOT NULL,
    fingerprint VARCHAR NOT NULL,
    decision VARCHAR NOT NULL CHECK (decision IN ('approve', 'edit', 'reject')),
    answer VARCHAR,
    reviewer VARCHAR,
    reviewed_at TIMESTAMPTZ,
    note VARCHAR,
    former_answer VARCHAR,
    former_origin VARCHAR,
    former_status VARCHAR,
    former_reason VARCHAR
);
COMMENT ON TABLE reviews IS 'What reviewers decided about the questions of this release: the last decision about each.';
COMMENT ON COLUMN reviews.collection IS 'The collection of the question.';
COMMENT ON COLUMN reviews.query_key IS 'The question.';
COMMENT ON COLUMN reviews.fingerprint IS 'The fingerprint of the answer that was decided about; an approval lapses when it changes.';
COMMENT ON COLUMN reviews.decision IS 'approve, edit or reject.';
COMMENT ON COLUMN reviews.answer IS 'The new text of an edited answer.';
COMMENT ON COLUMN reviews.reviewer IS 'Name of the reviewer.';
COMMENT ON COLUMN reviews.reviewed_at IS 'When the decision was made (UTC).';
COMMENT ON COLUMN reviews.note IS 'The reviewer''s note.';
COMMENT ON COLUMN reviews.former_answer IS 'The text of the answer before the decision was applied to this release.';
COMMENT ON COLUMN reviews.former_origin IS 'The origin of that text: generated or curated.';
COMMENT ON COLUMN reviews.former_status IS 'served or withheld, as the audit had it before the decision.';
COMMENT ON COLUMN reviews.former_reason IS 'Why the audit withheld the answer; empty if it did not.';

CREATE TABLE doubts (
    collection VARCHAR NOT NULL,
    query_key VARCHAR NOT NULL,
    fingerprint VARCHAR NOT NULL,
    reason VARCHAR NOT NULL
);
COMMENT ON TABLE doubts IS 'Served answers that a person should look at, and why.';
COMMENT ON COLUMN doubts.collection IS 'The collection of the question.';
COMMENT ON COLUMN doubts.query_key IS 'The question.';
COMMENT ON COLUMN doubts.fingerprint IS 'The answer''s fingerprint.';
COMMENT ON COLUMN doubts.reason IS 'For example: support is low, or a document of a curated answer has changed.';

CREATE TABLE checks (
    name VARCHAR NOT NULL PRIMARY KEY,
    passed BOOLEAN NOT NULL,
    figure DOUBLE,
    allowed DOUBLE,
    explanation VARCHAR NOT NULL,
    examples VARCHAR[]
);
COMMENT ON TABLE checks IS 'The checks of the release audit and their results.';
COMMENT ON COLUMN checks.name IS 'Name of the check.';
COMMENT ON COLUMN checks.passed IS 'Whether it passed.';
COMMENT ON COLUMN checks.figure IS 'The measured value.';
COMMENT ON COLUMN checks.allowed IS 'The limit from the settings.';
COMMENT ON COLUMN checks.explanation IS 'The result in one sentence.';
COMMENT ON COLUMN checks.examples IS 'Some of the rows that count against the release.';

CREATE TABLE findings (
    collection VARCHAR NOT NULL,
    finding VARCHAR NOT NULL,
    count BIGINT NOT NULL,
    whole BIGINT,
    examples VARCHAR[],
    PRIMARY KEY (collection, finding)
);
COMMENT ON TABLE findings IS 'What is worth a look in the documents of each collection, as `beforehand check` has it.';
COMMENT ON COLUMN findings.collection IS 'The collection.';
COMMENT ON COLUMN findings.finding IS 'What was found, for example chunks under no heading but the title.';
COMMENT ON COLUMN findings.count IS 'How many there are.';
COMMENT ON COLUMN findings.whole IS 'Of how many documents or chunks; empty where that says nothing.';
COMMENT ON COLUMN findings.examples IS 'Some of them.';
