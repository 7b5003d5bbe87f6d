import java.io.File;
import javax.xml.XMLConstants;
import javax.xml.transform.stream.StreamSource;
import javax.xml.validation.SchemaFactory;
import javax.xml.validation.Validator;

/** Validates reports against a schema: java Check.java SCHEMA REPORT... */
class Check {
    public static void main(String[] args) throws Exception {
        Validator validator = SchemaFactory.newInstance(XMLConstants.W3C_XML_SCHEMA_NS_URI).newSchema(new File(args[0])).newValidator();
        boolean valid = true;
        for (int i = 1; i < args.length; i++) {
            try {
                validator.validate(new StreamSource(new File(args[i])));
            } catch (org.xml.sax.SAXException e) {
                System.err.println(args[i] + ": " + e.getMessage());
                valid = false;
            }
        }
        System.exit(valid ? 0 : 1);
    }
}
